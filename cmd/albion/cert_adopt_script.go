package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/certbot"
)

// prepareScripts writes the programs of those lineages that the server takes: it
// may begin to renew them at once.
func prepareScripts(ctx context.Context, c *admin.Client, dataDir string, request admin.AdoptRequest, programs []*certbot.Script) error {
	if len(programs) == 0 {
		return nil
	}
	request.DryRun = true
	result, err := c.Adopt(ctx, request)
	if err != nil {
		return err
	}
	return writeScripts(dataDir, accepted(programs, result.Certificates))
}

// accepted leaves the programs of lineages that are taken over with their method.
func accepted(programs []*certbot.Script, answers []admin.Adopted) []*certbot.Script {
	return slices.DeleteFunc(slices.Clone(programs), func(p *certbot.Script) bool {
		return !slices.ContainsFunc(answers, func(a admin.Adopted) bool {
			return a.Name == filepath.Base(p.Path) && a.Action != admin.ActionLeaveOut && a.Problem == ""
		})
	})
}

// writeScripts writes the programs that prove names, for the user alone who runs
// the server: the one whose data folder it is. As root it writes to a folder of
// another user's, so it follows no link out of there, and gives away only what it
// has made itself.
func writeScripts(dataDir string, programs []*certbot.Script) error {
	if len(programs) == 0 {
		return nil
	}
	data, err := os.OpenRoot(dataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	owner, err := data.Stat(".")
	if err != nil {
		return err
	}
	scripts, err := openScripts(data, owner)
	if err != nil {
		return err
	}
	defer scripts.Close()
	for _, p := range programs {
		if err := writeScript(scripts, owner, p); err != nil {
			return err
		}
	}
	return nil
}

// openScripts opens the folder of the programs, and makes it if need be.
func openScripts(data *os.Root, owner fs.FileInfo) (*os.Root, error) {
	made := data.Mkdir(scriptsFolder, 0o700)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return nil, made
	}
	seen, err := data.Lstat(scriptsFolder)
	if err != nil {
		return nil, err
	}
	place := filepath.Join(data.Name(), scriptsFolder)
	if !seen.IsDir() {
		return nil, fmt.Errorf("%s is a link or a file, and no folder: remove it, and adopt again", place)
	}
	scripts, err := data.OpenRoot(scriptsFolder)
	if err != nil {
		return nil, err
	}
	folder, err := scripts.Open(".")
	if err != nil {
		return nil, errors.Join(err, scripts.Close())
	}
	defer folder.Close()
	opened, err := folder.Stat()
	if err == nil && !os.SameFile(seen, opened) {
		err = fmt.Errorf("%s was replaced meanwhile: see who does that, and adopt again", place)
	}
	if err == nil && made == nil {
		err = ownAs(owner, folder)
	}
	if err != nil {
		return nil, errors.Join(err, scripts.Close())
	}
	return scripts, nil
}

// writeScript writes a program beside the old one and puts it in its place.
func writeScript(scripts *os.Root, owner fs.FileInfo, p *certbot.Script) error {
	fresh := ".albion-" + rand.Text()
	f, err := scripts.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = f.Write(p.Text)
	err = errors.Join(err, f.Chmod(0o700), ownAs(owner, f), f.Sync(), f.Close())
	if err == nil {
		err = scripts.Rename(fresh, filepath.Base(p.Path))
	}
	if err != nil {
		return errors.Join(err, scripts.Remove(fresh))
	}
	return nil
}
