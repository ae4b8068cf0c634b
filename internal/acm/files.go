package acm

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFiles is how many files of one directory are looked at.
const maxFiles = 32

// ReadFiles reads PEM files, each named in messages as it is given here. A
// directory stands for what ReadDir finds in it.
func ReadFiles(paths ...string) ([]Source, error) {
	var out []Source
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, unreadable(path, err)
		}
		if info.IsDir() {
			inside, err := ReadDir(path)
			if err != nil {
				return nil, err
			}
			out = append(out, inside...)
			continue
		}
		source, err := readFile(path, path)
		if err != nil {
			return nil, err
		}
		out = append(out, source)
	}
	return out, nil
}

// ReadDir reads a directory with one certificate: a certbot live/NAME with its
// symbolic links, or any other whose files end in .pem, .crt, .cer or .key.
func ReadDir(dir string) ([]Source, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	var names []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".pem", ".crt", ".cer", ".key":
			names = append(names, e.Name())
		}
	}
	if slices.Contains(names, "fullchain.pem") && slices.Contains(names, "privkey.pem") {
		names = []string{"fullchain.pem", "privkey.pem"} // certbot's cert.pem and chain.pem say the same again
	}
	switch {
	case len(names) == 0:
		return nil, refuse(fieldCertificate, "there is no .pem, .crt, .cer or .key file in %s", dir)
	case len(names) > maxFiles:
		return nil, refuse(fieldCertificate, "there are %d files in %s: name the certificate, chain and key files themselves", len(names), dir)
	}
	var out []Source
	for _, name := range names {
		source, err := readFile(filepath.Join(dir, name), name)
		if err != nil {
			return nil, err
		}
		out = append(out, source)
	}
	return out, nil
}

// readFile reads one regular file. Anything else, such as a pipe, might never
// end.
func readFile(path, name string) (Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Source{}, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return Source{}, refuse(fieldCertificate, "%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return Source{}, unreadable(path, err)
	}
	defer func() { _ = f.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxInput+1))
	if err != nil {
		return Source{}, unreadable(path, err)
	}
	if len(data) > maxInput {
		return Source{}, refuse(fieldCertificate, "%s is larger than %d bytes: it is not a certificate or key", path, maxInput)
	}
	return Source{Name: name, PEM: data}, nil
}

func unreadable(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse(fieldCertificate, "%s does not exist", path)
	case errors.Is(err, fs.ErrPermission):
		return refuse(fieldCertificate, "%s may not be read by this user: run as its owner, or give a copy", path)
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return refuse(fieldCertificate, "%s cannot be read: %s", path, err)
}
