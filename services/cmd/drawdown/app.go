package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/drawdown-credits/drawdown/services/internal/config"
)

// errReported marks a failure that the command has already told of.
var errReported = errors.New("reported")

// app is what every command works with.
type app struct {
	cfg     *config.Config
	out     io.Writer
	errs    io.Writer
	format  string // of -o
	started bool   // the command line was understood
}

// version is set by the linker.
var version = "devel"

func versionString() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "devel" {
		return info.Main.Version
	}
	return version
}

func (a *app) root() (*cobra.Command, error) {
	cfg, err := config.Load()
	if err != nil {
		return nil, err
	}
	a.cfg = cfg
	root := &cobra.Command{
		Use:   "drawdown",
		Short: "Real-time API credits: every call metered, rated and drawn down once.",
		Long: `Drawdown meters API calls, rates them into credits and draws them down from
prepaid grants, exactly once, and tells within milliseconds when an account
runs low or out.`,
		Example:       "  drawdown up --demo",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.started = true
			if a.format != "text" && a.format != "json" {
				return usageError("-o %s: expected text or json", a.format)
			}
			if err := cfg.Validate(); err != nil {
				return usageError("%v", err)
			}
			return nil
		},
	}
	root.SetOut(a.out)
	root.SetErr(a.errs)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVarP(&a.format, "output", "o", "text", "text, or json for machines")
	cfg.Flags(root.PersistentFlags())
	for group, commands := range map[string][]*cobra.Command{
		"run":  {a.upCommand(), a.gatewayCommand(), a.raterCommand(), a.projectorCommand(), a.enforcerCommand(), a.clickhouseCommand()},
		"use":  {a.importCommand(), a.planCommand(), a.accountCommand(), a.grantCommand(), a.adjustCommand(), a.holdCommand(), a.topUpCommand(), a.balanceCommand(), a.ledgerCommand(), a.ratecardCommand(), a.explainCommand(), a.voidCommand(), a.amendCommand(), a.signalsCommand()},
		"care": {a.statusCommand(), a.deadlettersCommand(), a.verifyCommand(), a.rebuildCommand(), a.benchCommand(), a.configCommand(), a.versionCommand(), a.healthcheckCommand()},
	} {
		for _, command := range commands {
			command.GroupID = group
			if group == "run" {
				command.Long = cmp.Or(command.Long, command.Short+".") + moreSettings
			}
			root.AddCommand(command)
		}
	}
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "use", Title: "Use:"},
		&cobra.Group{ID: "care", Title: "Operate:"},
	)
	hideSettings(root)
	explainMistakes(root)
	return root, nil
}

// hideSettings keeps the flags of most settings out of every command's help;
// `drawdown config` lists them.
func hideSettings(root *cobra.Command) {
	root.PersistentFlags().VisitAll(func(flag *pflag.Flag) { flag.Hidden = !alwaysShown[flag.Name] })
}

const moreSettings = "\n\nPorts, addresses and all other settings are flags too, such as --http-addr:\nsee drawdown config for the rest."

var alwaysShown = map[string]bool{"output": true, "data": true, "url": true}

// logger writes to w as the settings say.
func (a *app) logger(w io.Writer) *slog.Logger {
	level, err := a.cfg.Level()
	if err != nil {
		level = slog.LevelInfo // Validate has refused it
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// dataDir is the data folder of the settings.
func (a *app) dataDir() config.DataDir { return config.DataDir(a.cfg.DataDir) }

// progress tells a person how a long step is going; machines do not want it.
func (a *app) progress(format string, v ...any) {
	if a.format == "text" {
		fmt.Fprintf(a.out, format+"\n", v...)
	}
}

// isTerminal reports whether f is a person's screen.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
