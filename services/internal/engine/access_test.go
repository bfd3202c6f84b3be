package engine_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// The engine's answers to what is refused.
const (
	cannotOpenFile       = 76
	readonly             = 164
	settingViolation     = 452
	accessDenied         = 497
	requiredPassword     = 194
	authenticationFailed = 516
)

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	refused := map[string]int32{"native": authenticationFailed, "http": authenticationFailed}
	refusedOwn := map[string]int32{"native": authenticationFailed, "http": requiredPassword}
	for name, stranger := range map[string]struct {
		user *url.Userinfo
		code map[string]int32
	}{
		"a wrong password for the services is refused":        {url.UserPassword("drawdown", "guess"), refused},
		"a missing password for the services is refused":      {url.UserPassword("drawdown", ""), refused},
		"a wrong password for the analyst is refused":         {url.UserPassword("analyst", "guess"), refused},
		"an unknown user is refused":                          {url.UserPassword("root", ""), refused},
		"the engine's own user is refused to everybody else":  {url.UserPassword("default", ""), refusedOwn},
		"the engine's own user has no other password, either": {url.UserPassword("default", "guess"), refusedOwn},
	} {
		for protocol, dsn := range map[string]string{"native": e.NativeDSN("default"), "http": e.HTTPDSN("default")} {
			t.Run(name+" over "+protocol, func(t *testing.T) {
				t.Parallel()
				address, err := url.Parse(dsn)
				if err != nil {
					t.Fatal(err)
				}
				address.User = stranger.user
				// Version is what even a read-only session without any grant may ask.
				err = open(t, address.String()).Exec(t.Context(), "SELECT version()")
				wantCode(t, err, stranger.code[protocol])
			})
		}
	}
}

func TestServicesKeepToTheirDatabases(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	conn := open(t, e.NativeDSN(engine.Database))
	for _, statement := range []string{
		"CREATE DATABASE others",
		"CREATE TABLE default.t (n UInt8) ENGINE = Memory",
		"SELECT * FROM file('/etc/hostname', 'LineAsString')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
		"INSERT INTO FUNCTION file('out.csv') SELECT 1",
		"SYSTEM SHUTDOWN",
	} {
		wantCode(t, conn.Exec(t.Context(), statement), accessDenied)
	}
}

func TestAnalystReadsAndNothingElse(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t, engine.Config{})
	other := enginetest.NewDatabase(t, e)
	mustExec(t, open(t, e.NativeDSN(engine.Database)),
		"CREATE TABLE ledger (seq UInt64) ENGINE = MergeTree ORDER BY seq",
		"CREATE VIEW newest AS SELECT max(seq) AS seq FROM ledger",
		"INSERT INTO ledger SELECT number FROM numbers(10)",
		"CREATE TABLE "+other+".hidden (n UInt64) ENGINE = MergeTree ORDER BY n",
	)
	for protocol, dsn := range map[string]string{"native": e.AnalystNativeDSN(), "http": e.AnalystHTTPDSN()} {
		conn := open(t, dsn)
		for query, want := range map[string]string{
			"SELECT sum(seq) FROM ledger":                                       "45",
			"SELECT seq FROM newest":                                            "9",
			"SELECT count() FROM ledger SETTINGS max_execution_time = 300":      "10",
			"SELECT count() FROM system.tables WHERE database LIKE 'drawdown%'": "2",
		} {
			if got := scalar(t, conn, query); got != want {
				t.Errorf("%s: %s: %s, want %s", protocol, query, got, want)
			}
		}
		for statement, code := range map[string]int32{
			"INSERT INTO ledger SELECT 1":                              accessDenied,
			"CREATE TABLE mine (n UInt8) ENGINE = Memory":              accessDenied,
			"DROP TABLE ledger":                                        accessDenied,
			"TRUNCATE TABLE ledger":                                    accessDenied,
			"ALTER TABLE ledger DELETE WHERE 1":                        accessDenied,
			"SELECT * FROM " + other + ".hidden":                       accessDenied,
			"SELECT * FROM system.processes":                           accessDenied,
			"SELECT * FROM system.users":                               accessDenied,
			"SELECT * FROM file('/etc/hostname', 'LineAsString')":      accessDenied,
			"SELECT * FROM default.`/etc/hostname`":                    accessDenied,
			"INSERT INTO FUNCTION file('out.csv') SELECT 1":            accessDenied,
			"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')": accessDenied,
			"SELECT * FROM remote('127.0.0.1', drawdown.ledger)":       accessDenied,
			"SYSTEM STOP LISTEN QUERIES ALL":                           accessDenied,
			"SELECT 1 SETTINGS readonly = 0":                           readonly,
			"SELECT 1 SETTINGS max_memory_usage = 1":                   readonly,
			"SELECT 1 SETTINGS max_execution_time = 100000":            settingViolation,
		} {
			wantCode(t, conn.Exec(t.Context(), statement), code)
		}
	}
}

// In this mode of the engine the function file() asks for no grant at all; the
// fence around the process is what stops it.
func TestEngineReadsNoFileButItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("keep"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := enginetest.Start(t, engine.Config{Dir: filepath.Join(dir, "engine")})
	for _, dsn := range []string{e.AnalystNativeDSN(), e.NativeDSN(engine.Database)} {
		conn := open(t, dsn)
		for _, path := range []string{
			secret,
			"/etc/passwd",
			filepath.Join(dir, "engine", "credentials.json"),
			filepath.Join(dir, "engine", "data", "..", "credentials.json"),
		} {
			wantCode(t, conn.Exec(t.Context(), "SELECT file('"+path+"') FORMAT Null"), cannotOpenFile)
		}
	}
}

func TestFolderKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := enginetest.Start(t, engine.Config{Dir: dir})
	password := passwordOf(t, first.NativeDSN(engine.Database))
	if printed := first.String(); strings.Contains(printed, password) {
		t.Errorf("String() gives the password away: %s", printed)
	}
	for _, name := range []string{"credentials.json", "settings/config.xml", "settings/users.xml"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode())
		}
	}
	if analyst := passwordOf(t, first.AnalystHTTPDSN()); analyst == password || len(analyst) < 26 || len(password) < 26 {
		t.Error("want two different passwords of 26 characters or more")
	}
	first.Close()

	second := enginetest.Start(t, engine.Config{Dir: dir})
	if passwordOf(t, second.NativeDSN(engine.Database)) != password {
		t.Error("the password changed from one start to the next")
	}
	if other := enginetest.Start(t, engine.Config{}); passwordOf(t, other.NativeDSN("")) == password {
		t.Error("two folders have the same password")
	}
}

func passwordOf(t *testing.T, dsn string) string {
	t.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := address.User.Password()
	return password
}

func wantCode(t *testing.T, err error, code int32) {
	t.Helper()
	if refusal := new(clickhouse.Exception); !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("got %v, want the engine's refusal %d", err, code)
	}
}
