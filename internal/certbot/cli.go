package certbot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// global reads what holds for every lineage: cli.ini and the scripts of
// renewal-hooks/. What cli.ini says of challenges and CAs is in each lineage's
// own configuration already.
func (r *reader) global(tree *Tree) error {
	path := filepath.Join(r.dir, "cli.ini")
	settings := map[string]string{}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		data, err := readFile(path)
		if err != nil {
			return err
		}
		if len(data) > maxConfig {
			return fmt.Errorf("%s is larger than %d bytes", path, maxConfig)
		}
		settings = parseINI(data)
	}
	deploy := settings["deploy-hook"]
	if deploy == "" {
		deploy = settings["renew-hook"]
	}
	if isEmail(settings["email"]) {
		tree.Email = settings["email"]
	}
	tree.Hooks = Hooks{some(settings["pre-hook"]), some(deploy), some(settings["post-hook"])}
	if strings.EqualFold(settings["no-directory-hooks"], "true") {
		return nil
	}
	for kind, hooks := range map[string]*[]string{"pre": &tree.Hooks.Pre, "deploy": &tree.Hooks.Deploy, "post": &tree.Hooks.Post} {
		scripts, err := r.scripts(kind)
		if err != nil {
			return err
		}
		*hooks = append(scripts, *hooks...)
	}
	return nil
}

// scripts lists the programs of a folder below renewal-hooks/, in the order in
// which certbot runs them.
func (r *reader) scripts(kind string) ([]string, error) {
	dir := filepath.Join(r.dir, "renewal-hooks", kind)
	files, err := names(dir, maxLineages)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(dir, err)
	}
	var all []string
	for _, name := range files {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		runs := err == nil && info.Mode().IsRegular() && (info.Mode().Perm()&0o111 != 0 || runtime.GOOS == "windows")
		if runs && !strings.HasSuffix(name, "~") { // an editor's copy, which certbot passes over as well
			all = append(all, path)
		}
	}
	return all, nil
}

// parseINI reads cli.ini in the format of ConfigArgParse: `name = value` or
// `name: value`, a name alone for what is switched on, # and ; before comments.
// Later lines win, as with certbot.
func parseINI(data []byte) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.ContainsRune("#;[", rune(line[0])) || line == "---" {
			continue
		}
		end := strings.IndexAny(line, "=: \t")
		name, value := line, "true"
		if end >= 0 {
			name = line[:end]
			value = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line[end:]), "=:"))
		}
		all[strings.ReplaceAll(name, "_", "-")] = plainValue(value)
	}
	return all
}

// plainValue takes quotes off, or a comment away.
func plainValue(value string) string {
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		if inside, rest, ok := strings.Cut(value[1:], value[:1]); ok && comment(strings.Replace(rest, ";", "#", 1)) {
			return inside
		}
	}
	for _, mark := range []string{" #", " ;", "\t#", "\t;"} {
		value, _, _ = strings.Cut(value, mark)
	}
	return strings.TrimSpace(value)
}
