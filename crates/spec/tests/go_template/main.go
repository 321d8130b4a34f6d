// Renders templates with Go's own text/template, so that ours can be compared with it.
//
// Reads lines of {"template": text, "data": {variable: value}} and prints a line of {"output": text} or {"error": text} for
// each. Variables are functions without arguments, as batch specs have them, and the dot is the map of all of them.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
)

// paths prints with spaces between its items, as search_result_paths does.
type paths []string

func (p paths) String() string { return strings.Join(p, " ") }

// typed gives decoded JSON the types that the variables of a batch spec have: whole numbers are int, lists of text []string.
func typed(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return int(whole)
		}
		float, _ := value.Float64()
		return float
	case []any:
		texts := make([]string, 0, len(value))
		items := make([]any, 0, len(value))
		for _, item := range value {
			if text, ok := item.(string); ok {
				texts = append(texts, text)
			}
			items = append(items, typed(item))
		}
		if len(texts) == len(value) {
			return texts
		}
		return items
	case map[string]any:
		if bare, ok := value["$paths"].([]any); ok {
			list := paths{}
			for _, item := range bare {
				list = append(list, item.(string))
			}
			return list
		}
		for key, item := range value {
			value[key] = typed(item)
		}
		return value
	}
	return value
}

func render(text string, data map[string]any) (string, error) {
	functions := template.FuncMap{
		"join":    strings.Join,
		"split":   strings.Split,
		"replace": strings.ReplaceAll,
		"join_if": func(separator string, texts ...string) string {
			present := []string{}
			for _, text := range texts {
				if text != "" {
					present = append(present, text)
				}
			}
			return strings.Join(present, separator)
		},
	}
	for name, value := range data {
		functions[name] = func() any { return value }
		if value, ok := value.(map[string]any); ok {
			functions[name] = func() map[string]any { return value }
		}
	}
	parsed, err := template.New("\x00").Delims("${{", "}}").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return "", err
	}
	output := strings.Builder{}
	err = parsed.Execute(&output, data)
	return output.String(), err
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	results := json.NewEncoder(os.Stdout)
	results.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked struct {
			Template string
			Data     map[string]any
		}
		decoder := json.NewDecoder(strings.NewReader(string(line)))
		decoder.UseNumber()
		if err := decoder.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		output, err := render(asked.Template, typed(asked.Data).(map[string]any))
		if err != nil {
			results.Encode(map[string]string{"error": err.Error()})
			continue
		}
		results.Encode(map[string]string{"output": output})
	}
}
