package gateway

import (
	"bytes"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// docsPage lists the calls. It loads nothing from anywhere else, so it works
// without a network.
var docsPage = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}} HTTP API</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code{background:#8882;padding:.1em .3em;border-radius:.2em}dt{margin-top:1em}dd{margin-left:1.5em}</style>
<h1>{{.Title}} <small>{{.Version}}</small></h1><p>{{.Description}}</p>
<p>The exact description of every call: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>
<dl>{{range .Calls}}<dt><code>{{.Method}} {{.Path}}</code> {{.Summary}}{{if .Parameters}} · <small>{{.Parameters}}</small>{{end}}</dt>
<dd>{{.Description}}</dd>{{end}}</dl></html>
`))

type docsCall struct{ Method, Path, Summary, Description, Parameters string }

func renderDocs(api *huma.OpenAPI) ([]byte, error) {
	var calls []docsCall
	for path, item := range api.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "PUT": item.Put, "POST": item.Post} {
			if op == nil {
				continue
			}
			call := docsCall{Method: method, Path: path, Summary: op.Summary, Description: op.Description}
			var query []string
			for _, p := range op.Parameters {
				if p.In == "query" {
					query = append(query, "?"+p.Name)
				}
			}
			call.Parameters = strings.Join(query, " ")
			calls = append(calls, call)
		}
	}
	slices.SortFunc(calls, func(a, b docsCall) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	var page bytes.Buffer
	err := docsPage.Execute(&page, map[string]any{
		"Title": api.Info.Title, "Version": api.Info.Version, "Description": api.Info.Description, "Calls": calls,
	})
	if err != nil {
		return nil, fmt.Errorf("render the page of calls: %w", err)
	}
	return page.Bytes(), nil
}
