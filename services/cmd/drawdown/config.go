package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	return &cobra.Command{
		Use: "config", Short: "Show every setting, its value and its meaning", Example: "  drawdown config", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			settings := a.cfg.Settings()
			return a.showValue(settings, func() {
				rows := [][]any{{"VARIABLE", "FLAG", "VALUE", "MEANING"}}
				for _, s := range settings {
					rows = append(rows, []any{s.Variable, s.Flag, s.Value, s.Meaning})
				}
				table(a.out, rows...)
			})
		},
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Example: "  drawdown version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.showValue(map[string]string{"version": versionString()}, func() { fmt.Fprintln(a.out, versionString()) })
		},
	}
}
