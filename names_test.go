package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTypeNamesMeanOneThing finds names that types have in three packages or more. Packages below protocol count as
// one, for what is the same part of each protocol has the same name there. CONTRIBUTING.md says which ones.
func TestTypeNamesMeanOneThing(t *testing.T) {
	t.Parallel()
	everywhere := []string{"Config"} // what a package needs to be told
	homes := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		home := filepath.ToSlash(filepath.Dir(path))
		if strings.HasPrefix(home, "protocol/") {
			home = "protocol/*"
		}
		for _, declared := range file.Decls {
			types, ok := declared.(*ast.GenDecl)
			if !ok || types.Tok != token.TYPE {
				continue
			}
			for _, spec := range types.Specs {
				name := spec.(*ast.TypeSpec).Name.Name
				if !slices.Contains(homes[name], home) {
					homes[name] = append(homes[name], home)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(homes) < 500 {
		t.Fatalf("only %d types were found", len(homes))
	}
	for name, in := range homes {
		if len(in) > 2 && !slices.Contains(everywhere, name) {
			t.Errorf("%s is a type in %s: give each the name of what it is there", name, strings.Join(in, ", "))
		}
	}
}
