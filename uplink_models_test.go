package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestUplinkModelsAreWhatPlatformsImport holds the models of each cloud, in both languages, against a schema made of what
// its documents show, looks for each item of the point table, and has check find what is missing, of another type or too
// long.
func TestUplinkModelsAreWhatPlatformsImport(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	table, devices := filepath.Join(directory, "points.csv"), filepath.Join(directory, "devices.csv")
	writeFile(t, devices, "meter,prefix\nmain,m1_\n")
	items := []string{"voltage_a", "current_a", "active_power", "forward_active_energy", "status_3", "power_factor", "frequency"}
	writeFile(t, table, "meter,item\nmain,"+strings.Join(items, "\nmain,")+"\n")
	for _, cloud := range []string{"aliyun", "tencent", "huawei", "onenet", "jetlinks"} {
		schema, err := jsonschema.NewCompiler().Compile(filepath.Join("uplink", "dialect", "testdata", "models", cloud+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, language := range []string{"en", "zh"} {
			variables := map[string]string{"DLT645_LANGUAGE": language, "DLT645_UPLINK_CLOUD": cloud}
			status, model, stderr := executeApart(t, variables, "", "uplink", "model", "-points", table, "-product", "p", "-relay")
			if status != 0 {
				t.Fatalf("%s: status %d: %s", cloud, status, stderr)
			}
			instance, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(model)))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(instance); err != nil {
				t.Errorf("%s in %s: %v", cloud, language, err)
			}
			// In flat mode there is a meter among the outputs of events and the inputs of the relay as well.
			status, inFlat, stderr := executeApart(t, variables, "", "uplink", "model", "-points", table, "-product", "p", "-relay", "-devices", devices)
			if instance, err = jsonschema.UnmarshalJSON(strings.NewReader(inFlat)); status != 0 || err != nil {
				t.Fatalf("%s in flat mode: status %d: %s (%v)", cloud, status, stderr, err)
			}
			if err := schema.Validate(instance); err != nil || !strings.Contains(inFlat, `"meter"`) {
				t.Errorf("%s in %s, in flat mode: %v", cloud, language, err)
			}
			for _, item := range items {
				if !strings.Contains(model, `"`+item+`"`) {
					t.Errorf("%s: the model has no %s", cloud, item)
				}
			}
			file := filepath.Join(directory, "model.json")
			check := func(model string) (int, string) {
				writeFile(t, file, model)
				status, out, stderr := executeApart(t, map[string]string{"DLT645_UPLINK_CLOUD": cloud}, "", "uplink", "check", "-points", table, "-model", file)
				return status, out + stderr
			}
			if status, out := check(model); status != 0 {
				t.Errorf("%s: check of the model that was made: %s", cloud, out)
			}
			if status, out := check(strings.ReplaceAll(model, `"current_a"`, `"ia"`)); status != 1 || !strings.Contains(out, "current_a: the model has no property current_a") {
				t.Errorf("%s, a property is missing: status %d, %s", cloud, status, out)
			}
			other := strings.NewReplacer(`"type": "double"`, `"type": "bool"`, `"type": "float"`, `"type": "bool"`, `"data_type": "decimal"`, `"data_type": "boolean"`)
			if cloud == "jetlinks" {
				other = strings.NewReplacer(`"type": "double"`, `"type": "boolean"`)
			}
			if status, out := check(other.Replace(model)); status != 1 || !strings.Contains(out, "voltage_a: the model's property voltage_a is of type bool") {
				t.Errorf("%s, a property has another type: status %d, %s", cloud, status, out)
			}
		}
	}
	keys := filepath.Join(directory, "keys.csv")
	writeFile(t, keys, "item,key\nvoltage_a,"+strings.Repeat("u", 33)+"\n")
	status, out, _ := executeApart(t, map[string]string{"DLT645_UPLINK_CLOUD": "tencent"}, "", "uplink", "check", "-points", table, "-keys", keys)
	if status != 1 || !strings.Contains(out, "has 33 characters; the cloud takes 32; line for the keys file: voltage_a,voltage_a") {
		t.Errorf("a key that is too long: status %d, %s", status, out)
	}
}
