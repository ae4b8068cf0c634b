package solve

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

// Where a CA looks for the files of http-01 (RFC 8555 §8.3).
const (
	wellKnown     = ".well-known"
	challengePath = wellKnown + "/acme-challenge"
)

// webroot proves names by files of a web server that somebody else runs. All of it
// happens below one folder: links that lead out of it are refused.
type webroot struct {
	*Solvers
	dir string
}

func newWebroot(s *Solvers, dir string) (*webroot, error) {
	if s.notes.dir == "" {
		return nil, errors.New("solve: there is no folder to remember what was made")
	}
	root, err := openFolder(dir)
	if err != nil {
		return nil, setback("the folder "+dir+" cannot be opened", "it has to be the folder that the web server shows, and writable", reason(err))
	}
	return &webroot{s, dir}, root.Close()
}

// openFolder opens nothing but a folder: with a separator at the end, a pipe of
// that name is not waited for (path_resolution(7)).
func openFolder(dir string) (*os.Root, error) {
	return os.OpenRoot(dir + string(filepath.Separator))
}

// Present writes the files. That they can be fetched from here is looked at and
// only warned of: many networks let nobody inside reach their own public address.
func (w *webroot) Present(ctx context.Context, all []acme.Presentation) error {
	root, err := openFolder(w.dir)
	if err != nil {
		return setback("the folder "+w.dir+" cannot be opened", "it has to be the folder that the web server shows, and writable", err)
	}
	defer root.Close()
	if err := w.makeFolders(root); err != nil {
		return setback("the folder "+challengePath+" cannot be made in "+w.dir, "let the user that runs Albion write there", err)
	}
	for _, p := range all {
		if !isToken(p.Token) || p.Challenge != albion.ChallengeHTTP {
			return setback("the CA sent a token that is no file name", "use another CA, or another method", nil)
		}
		if err := write(root, challengePath+"/"+p.Token, p.Proof); err != nil {
			return setback("the file that proves "+p.Domain+" cannot be written in "+w.dir, "let the user that runs Albion write there, and look for links that lead out of the folder", err)
		}
	}
	w.fetchAll(ctx, all)
	return nil
}

// isToken: base64url, which is all that a token may hold (RFC 8555 §8.3).
func isToken(s string) bool {
	return s != "" && len(s) <= 200 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

func (w *webroot) noteKey() string { return "webroot " + w.dir }

// makeFolders makes what is missing, and remembers before that it is ours.
func (w *webroot) makeFolders(root *os.Root) error {
	w.folders.Lock()
	defer w.folders.Unlock()
	for _, name := range []string{wellKnown, challengePath} {
		if _, err := root.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		made, err := w.made()
		if err != nil {
			return err
		}
		text, err := json.Marshal(append(made, name))
		if err != nil {
			return err
		}
		if err := w.notes.put(w.noteKey(), text); err != nil {
			return err
		}
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := showFolder(root, name); err != nil {
			return err
		}
	}
	return nil
}

// showFolder lets everybody read a folder, whatever the umask is: the web server
// does.
func showFolder(root *os.Root, name string) error {
	if runtime.GOOS == "windows" { // has no such bits
		return nil
	}
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	// By now it may be something else than what was made.
	info, err := f.Stat()
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", name)
	}
	if err != nil {
		return err
	}
	return f.Chmod(0o755)
}

// made lists the folders that are ours.
func (w *webroot) made() (all []string, err error) {
	text, err := w.notes.get(w.noteKey())
	if err != nil || text == nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}

// write puts a file in place, whole or not at all, readable by everybody.
func write(root *os.Root, name, text string) error {
	fresh := challengePath + "/.albion-" + rand.Text()
	f, err := root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = root.Rename(fresh, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(fresh))
	}
	return nil
}

// CleanUp removes the files, and the folders that were made for them once nothing
// is in them.
func (w *webroot) CleanUp(_ context.Context, all []acme.Presentation) error {
	root, err := openFolder(w.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return w.notes.drop(w.noteKey())
	}
	if err != nil {
		return setback("the folder "+w.dir+" cannot be opened", "remove what is left in "+challengePath+" by hand", err)
	}
	defer root.Close()
	for _, p := range all {
		name := challengePath + "/" + p.Token
		if !isToken(p.Token) {
			continue // it was never written
		}
		ours, failed := holdsText(root, name, p.Proof)
		if ours {
			failed = root.Remove(name)
		}
		if failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, setback("the file "+name+" in "+w.dir+" could not be removed", "remove it by hand", failed))
		}
	}
	return errors.Join(err, w.removeFolders(root))
}

// holdsText says whether a regular file holds just that text. Whoever writes to the
// folder, too, may have put anything in its place: nothing is waited for, and no
// more is read than can be right.
func holdsText(root *os.Root, name, text string) (bool, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(text)) {
		return false, err
	}
	found, err := io.ReadAll(io.LimitReader(f, int64(len(text))+1))
	return err == nil && string(found) == text, err
}

// isEmpty says whether nothing is in a folder, of which one entry is read.
func isEmpty(root *os.Root, name string) (bool, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// removeFolders removes those that are ours and empty, from the innermost.
func (w *webroot) removeFolders(root *os.Root) error {
	w.folders.Lock()
	defer w.folders.Unlock()
	made, err := w.made()
	if err != nil || made == nil {
		return err
	}
	for i := len(made) - 1; i >= 0; i-- {
		empty, err := isEmpty(root, made[i])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || !empty {
			return err // another order's files, or somebody else's
		}
		if err := root.Remove(made[i]); err != nil {
			return err
		}
	}
	return w.notes.drop(w.noteKey())
}

// fetchAll asks for the files as a CA does.
func (w *webroot) fetchAll(ctx context.Context, all []acme.Presentation) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // a CA that is redirected to https does not look at the certificate either
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, p := range all {
		host := p.Domain
		if w.cfg.HTTPPort != 80 {
			host = net.JoinHostPort(host, strconv.Itoa(w.cfg.HTTPPort))
		} else if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		url := "http://" + host + "/" + challengePath + "/" + p.Token
		if err := fetch(ctx, client, url, p.Proof); err != nil {
			w.cfg.Log.Warn("the file that proves a name cannot be fetched from here; the CA may see more", "domain", p.Domain, "folder", w.dir, "error", plain(err.Error()))
		}
	}
}

func fetch(ctx context.Context, client *http.Client, url, want string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err == nil && (response.StatusCode != http.StatusOK || strings.TrimSpace(string(text)) != want) {
		err = fmt.Errorf("the answer is %s, and not the file", response.Status)
	}
	return err
}
