package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/drawdown-credits/drawdown/services/internal/config"
)

const composeFile = "../../../docker-compose.yml"

func loadCompose(t *testing.T, env types.Mapping) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: "../../..", ConfigFiles: []types.ConfigFile{{Filename: composeFile}}, Environment: env,
	})
}

func TestComposeRunsTheFourServicesOnHealthyStoresThatKeepTheirData(t *testing.T) {
	project, err := loadCompose(t, types.Mapping{"NATS_PASSWORD": "a", "CLICKHOUSE_PASSWORD": "b", "DRAWDOWN_API_KEY": "c"})
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{"nats", "clickhouse"} {
		s := project.Services[store]
		if s.HealthCheck == nil || !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Source == store && v.Type == "volume" }) {
			t.Errorf("%s: health check %v, volumes %v; want a health check and a volume of its own", store, s.HealthCheck, s.Volumes)
		}
	}
	for _, service := range []string{"gateway", "rater", "projector", "enforcer"} {
		s := project.Services[service]
		if !slices.Equal(s.Command, []string{service}) {
			t.Errorf("%s runs %q", service, s.Command)
		}
		for _, store := range []string{"nats", "clickhouse"} {
			if s.DependsOn[store].Condition != types.ServiceConditionHealthy {
				t.Errorf("%s does not wait for a healthy %s", service, store)
			}
		}
	}
	for _, service := range []string{"rater", "projector", "enforcer"} {
		// Without a name, so that each container has its own.
		s := project.Services[service]
		dir := s.Environment["DRAWDOWN_STATE_DIR"]
		if dir == nil || !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == "volume" && v.Source == "" && v.Target == *dir
		}) {
			t.Errorf("%s has the volumes %v; want one of its own for its state", service, s.Volumes)
		}
	}
	for name, s := range project.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q; want loopback alone", name, port.Published, port.HostIP)
			}
		}
		for _, volume := range s.Volumes {
			if volume.Type != "bind" {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s mounts a file that is not there: %v", name, err)
			}
		}
	}
}

func TestComposeSetsOnlySettingsThatExist(t *testing.T) {
	project, err := loadCompose(t, types.Mapping{"NATS_PASSWORD": "a", "CLICKHOUSE_PASSWORD": "b", "DRAWDOWN_API_KEY": "c"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, setting := range c.Settings() {
		known[setting.Variable] = true
	}
	for name, s := range project.Services {
		for variable := range s.Environment {
			if strings.HasPrefix(variable, config.Prefix+"_") && !known[variable] {
				t.Errorf("%s sets %s, which is no setting", name, variable)
			}
		}
	}
}

func TestComposeRefusesToStartWithoutSecrets(t *testing.T) {
	if _, err := loadCompose(t, types.Mapping{"NATS_PASSWORD": "a", "CLICKHOUSE_PASSWORD": "b"}); err == nil || !strings.Contains(err.Error(), "DRAWDOWN_API_KEY") {
		t.Errorf("without an API key: %v; want an error that names it", err)
	}
}
