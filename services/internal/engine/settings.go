package engine

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

const (
	userServices = "drawdown"
	userAnalyst  = "analyst"

	fileConfig = dirSettings + "/config.xml"
	fileUsers  = dirSettings + "/users.xml"
	fileStart  = dirSettings + "/start.sql"
)

var (
	//go:embed config.xml.tmpl
	configText string
	//go:embed users.xml.tmpl
	usersText string
	//go:embed start.sql
	startText []byte

	configTemplate = template.Must(template.New(fileConfig).Funcs(template.FuncMap{"xml": escapeXML}).Parse(configText))
	usersTemplate  = template.Must(template.New(fileUsers).Parse(usersText))
)

// writeSettings writes what the child reads at its start. The files belong to
// this package: changes by hand are overwritten.
func (e *Engine) writeSettings() error {
	config, err := render(configTemplate, map[string]any{
		"Log":        e.path(fileLog),
		"ErrorLog":   e.path(fileErrorLog),
		"Data":       e.path(dirData) + "/",
		"UserFiles":  e.path(dirData, "user_files") + "/",
		"Users":      e.path(fileUsers),
		"Host":       loopback,
		"HTTPPort":   e.cfg.HTTPPort,
		"NativePort": e.cfg.NativePort,
		"Memory":     e.cfg.MemoryBytes,
		"Door":       e.door.url,
	})
	if err != nil {
		return err
	}
	users, err := render(usersTemplate, map[string]any{
		"Services":       userServices,
		"ServicesSHA256": hash(e.credentials.Services),
		"Analyst":        userAnalyst,
		"AnalystSHA256":  hash(e.credentials.Analyst),
		"Database":       Database,
		"QueryMemory":    e.cfg.MemoryBytes / 2,
	})
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{fileConfig: config, fileUsers: users, fileStart: startText} {
		if err := os.WriteFile(e.path(name), text, 0o600); err != nil {
			return fmt.Errorf("write engine settings: %w", err)
		}
	}
	return nil
}

// arguments is the engine's command line. It runs the statement that opens the
// ports, and then the interactive mode waits for the end of its input, which
// comes when the parent closes its pipe or dies (see openTerminal).
func (e *Engine) arguments() []string {
	return []string{
		"--config-file", e.path(fileConfig),
		"--path", e.path(dirData),
		"--interactive", "--disable_suggestion", "--progress", "off",
		"--queries-file", e.path(fileStart),
	}
}

func (e *Engine) path(names ...string) string {
	return filepath.Join(append([]string{e.cfg.Dir}, names...)...)
}

func render(t *template.Template, values map[string]any) ([]byte, error) {
	var text bytes.Buffer
	if err := t.Option("missingkey=error").Execute(&text, values); err != nil {
		return nil, fmt.Errorf("render engine settings: %w", err)
	}
	return text.Bytes(), nil
}

func escapeXML(text string) (string, error) {
	var escaped bytes.Buffer
	err := xml.EscapeText(&escaped, []byte(text))
	return escaped.String(), err
}

func hash(password secret) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}
