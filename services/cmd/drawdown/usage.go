package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// mistake is one in how a command was called: what was found, and what was
// expected.
type mistake string

// Error returns what it says.
func (m mistake) Error() string { return string(m) }

func usageError(format string, v ...any) error { return mistake(fmt.Sprintf(format, v...)) }

// isMistake reports whether err is one in how a command was called.
func isMistake(err error) bool {
	var m mistake
	return errors.As(err, &m)
}

// explainMistakes has every command under root say what it expected where the
// library would say what its code does.
func explainMistakes(root *cobra.Command) {
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return flagMistake(c, err) })
	root.SetHelpCommand(helpCommand())
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if check := c.Args; check != nil && !c.HasSubCommands() {
			c.Args = func(c *cobra.Command, args []string) error {
				if check(c, args) != nil {
					return countMistake(c, args)
				}
				return nil
			}
		}
		for _, child := range c.Commands() {
			each(child)
		}
	}
	each(root)
}

// positions are the arguments that a command's Use names, without its flags.
func positions(c *cobra.Command) string {
	_, names, _ := strings.Cut(c.Use, " ")
	names, _, _ = strings.Cut(names, "--")
	return strings.TrimSpace(names)
}

func countMistake(c *cobra.Command, args []string) error {
	found := fmt.Sprintf("%d arguments", len(args))
	if len(args) == 1 {
		found = fmt.Sprintf("the argument %q", args[0])
	}
	expected := positions(c)
	if expected == "" {
		expected = "none"
	}
	return usageError("found %s; expected %s", found, expected)
}

func flagMistake(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		short := unknown.GetSpecifiedShortnames()
		negative := short != "" && strings.Contains("0123456789.", short[:1])
		if negative && strings.Contains(positions(c), "AMOUNT") {
			return usageError("found -%s; expected credits above 0", short)
		}
		if negative {
			return usageError("found -%s; expected %s", short, positions(c))
		}
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		expected, known := flagForms[invalid.GetFlag().Value.Type()]
		if known {
			return usageError("--%s %q: expected %s", invalid.GetFlag().Name, invalid.GetValue(), expected)
		}
	}
	return usageError("%v", err)
}

// flagForms says what flags of each type are written like.
var flagForms = map[string]string{
	"bool": "true or false", "int": "a whole number", "int64": "a whole number", "uint8": "a whole number from 0 to 255",
	"uint64": "a whole number from 0 on", "duration": "a duration such as 90s, 10m or 1h30m", "stringToString": "name=value",
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND…]", Short: "Show the help of a command", Example: "  drawdown help grant add",
		RunE: func(c *cobra.Command, args []string) error {
			command, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError("found no command %q", strings.Join(args, " "))
			}
			command.InitDefaultHelpFlag()
			return command.Help()
		},
	}
}

// parent makes a command that only groups others.
func parent(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		var names []string
		for _, child := range c.Commands() {
			names = append(names, child.Name())
		}
		return usageError("expected a subcommand: %s", strings.Join(names, ", "))
	}}
	command.AddCommand(commands...)
	var examples []string
	for _, child := range commands {
		first, _, _ := strings.Cut(child.Example, "\n")
		examples = append(examples, first)
	}
	command.Example = strings.Join(examples, "\n")
	return command
}
