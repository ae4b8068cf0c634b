package solve

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// credentials reads a file as certbot's DNS plugins have it: lines "prefix_key =
// value". Keys with another prefix belong to other plugins. One with this prefix
// that is not among keys is refused, since it would be ignored.
func credentials(file, prefix string, keys ...string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, setback("the file with the credentials, "+file+", cannot be read", "it has to be there, and readable to the user that runs Albion", reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("solve: read the credentials: %w", err)
	}
	// As certbot has it, the file may be shared with a group. Windows keeps access
	// lists in place of modes.
	if mode := info.Mode().Perm(); mode&0o007 != 0 && runtime.GOOS != "windows" {
		return nil, setback(fmt.Sprintf("%s is open to everybody on this machine (mode %04o)", file, mode), fmt.Sprintf("run `chmod 600 %s`, and have the credentials replaced if others work here", file), nil)
	}
	const most = 64 << 10
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil || len(raw) > most {
		return nil, fmt.Errorf("solve: %s cannot be read, or is no file with credentials", file)
	}
	all, err := parseCredentials(raw)
	if err != nil {
		return nil, fmt.Errorf("solve: %s, %w", file, err)
	}
	out := map[string]string{}
	for key, value := range all {
		name, ours := strings.CutPrefix(key, prefix)
		if !ours {
			continue
		}
		if !slices.Contains(keys, name) {
			return nil, fmt.Errorf("solve: %s: %s is not known: expected %s", file, plain(key), prefix+strings.Join(keys, ", "+prefix))
		}
		out[name] = value
	}
	return out, nil
}

// parseCredentials reads lines "key = value", with comments after # and quotes
// around values that need them. Errors never show a value.
func parseCredentials(raw []byte) (map[string]string, error) {
	all := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 64<<10+1)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' || line[0] == '[' && line[len(line)-1] == ']' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, fmt.Errorf("line %d: expected key = value", number)
		}
		value, ok = credential(strings.TrimSpace(value))
		if !ok {
			return nil, fmt.Errorf("line %d: the quotes of %s do not end", number, plain(key))
		}
		if _, twice := all[key]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", number, plain(key))
		}
		all[key] = value
	}
	return all, lines.Err()
}

// credential is a value without quotes and without the comment behind it.
func credential(s string) (string, bool) {
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 {
			return "", false
		}
		after := strings.TrimSpace(s[end+2:])
		return s[1 : end+1], after == "" || after[0] == '#'
	}
	if i := strings.IndexByte(s, '#'); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s), true
}
