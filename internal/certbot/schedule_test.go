package certbot_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/albion-lb/albion/internal/certbot"
)

// debian is the line of certbot's Debian package.
const debian = "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew\n"

func TestWhatStillRunsCertbotIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		active []string
		want   []certbot.Schedule
	}{
		"nothing":              {map[string]string{"etc/cron.d/other": "* * * * * root true\n", "etc/crontab": "# certbot renew\n"}, nil, nil},
		"Debian's timer":       {map[string]string{"etc/cron.d/certbot": debian, "run/systemd/system/x": ""}, []string{"certbot.timer"}, []certbot.Schedule{{"the timer certbot.timer", "systemctl disable --now certbot.timer"}}},
		"Debian's cron":        {map[string]string{"etc/cron.d/certbot": debian}, nil, []certbot.Schedule{{"a cron job in /etc/cron.d/certbot", "sed -i -E '/certbot|letsencrypt/s/^/#/' /etc/cron.d/certbot"}}},
		"the snap":             {nil, []string{"snap.certbot.renew.timer"}, []certbot.Schedule{{"the timer snap.certbot.renew.timer", "snap stop --disable certbot.renew"}}},
		"Fedora's":             {nil, []string{"certbot-renew.timer"}, []certbot.Schedule{{"the timer certbot-renew.timer", "systemctl disable --now certbot-renew.timer"}}},
		"somebody's crontab":   {map[string]string{"var/spool/cron/crontabs/root": "0 0 1 * * /opt/certbot/bin/certbot renew --manual\n"}, nil, []certbot.Schedule{{"a cron job in /var/spool/cron/crontabs/root", "crontab -u root -e   # take the line with certbot out"}}},
		"a job of every day":   {map[string]string{"etc/cron.daily/le": "#!/bin/sh\nletsencrypt-auto renew\n"}, nil, []certbot.Schedule{{"a cron job in /etc/cron.daily/le", "sed -i -E '/certbot|letsencrypt/s/^/#/' /etc/cron.daily/le"}}},
		"a look at them alone": {map[string]string{"etc/cron.d/x": "0 0 * * * root certbot certificates\n"}, nil, nil},
	} {
		dir := t.TempDir()
		write(t, dir, c.files)
		got := certbot.Schedules(t.Context(), certbot.Host{Root: dir, Run: func(_ context.Context, program string, args ...string) (string, error) {
			if program == "systemctl" && slices.Contains(c.active, args[1]) {
				return "active\n", nil
			}
			return "inactive\n", errors.New("exit status 3")
		}})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
