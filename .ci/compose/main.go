// Command compose prints compose.yaml as the reference implementation of the Compose
// specification understands it, all profiles on, as JSON. A module of its own keeps that
// implementation out of the bridge's dependencies.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	// Without what a .env file says: that is the user's own.
	options, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithOsEnv, cli.WithProfiles([]string{"*"}), cli.WithoutEnvironmentResolution)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
