package certbot

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Schedule is something that still renews with certbot by itself.
type Schedule struct {
	What string // a sentence's subject: "the timer certbot.timer"
	Stop string // the command that ends it
}

// Host is the machine on which Schedules looks.
type Host struct {
	Root string                                                                 // of the file system: /
	Run  func(ctx context.Context, name string, args ...string) (string, error) // runs a program and returns what it prints
}

// systemdTimers are those of the distributions' packages and of the snap.
var systemdTimers = []string{"certbot.timer", "certbot-renew.timer", "snap.certbot.renew.timer"}

// Schedules lists what still runs certbot here: timers of systemd, the snap's
// among them, and cron jobs. A file that cannot be read is passed over: this is
// a warning and no proof.
func Schedules(ctx context.Context, h Host) []Schedule {
	var all []Schedule
	for _, timer := range systemdTimers {
		out, _ := h.Run(ctx, "systemctl", "is-active", timer) // its status says the same as its word
		if strings.TrimSpace(out) != "active" {
			continue
		}
		stop := "systemctl disable --now " + timer
		if strings.HasPrefix(timer, "snap.") {
			stop = "snap stop --disable certbot.renew"
		}
		all = append(all, Schedule{"the timer " + timer, stop})
	}
	systemd := h.exists("run", "systemd", "system")
	for _, job := range h.cronFiles() {
		data, err := readFile(filepath.Join(h.Root, job))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if runsCertbot(line) && !(systemd && strings.Contains(line, "-d /run/systemd/system")) {
				all = append(all, Schedule{"a cron job in /" + filepath.ToSlash(job), cronStop(job)})
				break
			}
		}
	}
	return all
}

// cronFiles lists where cron looks, relative to the root.
func (h Host) cronFiles() []string {
	all := []string{filepath.Join("etc", "crontab")}
	for _, dir := range []string{"etc/cron.d", "etc/cron.daily", "etc/cron.weekly", "etc/cron.monthly", "etc/periodic/daily", "etc/periodic/weekly", "var/spool/cron/crontabs", "var/spool/cron"} {
		dir = filepath.FromSlash(dir)
		files, err := names(filepath.Join(h.Root, dir), maxLineages)
		if err != nil {
			continue
		}
		for _, name := range files {
			all = append(all, filepath.Join(dir, name))
		}
	}
	return all
}

func (h Host) exists(parts ...string) bool {
	_, err := os.Stat(filepath.Join(append([]string{h.Root}, parts...)...))
	return err == nil
}

// runsCertbot goes by the words of a line that is no comment. Debian's own job
// does nothing where systemd runs, and Schedules passes it over there.
func runsCertbot(line string) bool {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return false
	}
	for word := range strings.FieldsSeq(line) {
		switch filepath.Base(strings.Trim(word, `"';()`)) {
		case "certbot", "certbot-auto", "letsencrypt-auto", "letsencrypt":
			return strings.Contains(line, "renew") || strings.Contains(line, "certonly") || strings.Contains(line, "run")
		}
	}
	return false
}

// cronStop is what takes a job out for good, and brings it back by hand.
func cronStop(job string) string {
	slash := "/" + filepath.ToSlash(job)
	if user, ok := strings.CutPrefix(slash, "/var/spool/cron/"); ok {
		return "crontab -u " + filepath.Base(user) + " -e   # take the line with certbot out"
	}
	return "sed -i -E '/certbot|letsencrypt/s/^/#/' " + slash
}
