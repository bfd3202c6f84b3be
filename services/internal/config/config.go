// Package config is every setting of Drawdown: one struct, read from
// DRAWDOWN_* environment variables and overridden by flags. It also knows the
// files of a data folder that other programs may read.
package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
)

// Prefix of the environment variables.
const Prefix = "DRAWDOWN"

// DefaultDataDir is the data folder of whoever names none.
const DefaultDataDir = "data"

// Config is one value of every setting. The tags are its documentation: `desc`
// says what a setting means, `flag` how the command line spells it, and
// `secret` keeps a value out of what `drawdown config` prints.
type Config struct {
	URL    string `envconfig:"URL" flag:"url" desc:"gateway that the command line talks to; empty: the one of the data folder, or http://127.0.0.1:8080"`
	APIKey string `envconfig:"API_KEY" flag:"api-key" secret:"true" desc:"key of the HTTP API; empty: the one in the data folder"`

	DataDir  string `envconfig:"DATA_DIR" default:"data" flag:"data" desc:"folder of the embedded NATS and ClickHouse and their keys"`
	HTTPAddr string `envconfig:"HTTP_ADDR" default:"127.0.0.1:8080" flag:"http-addr" desc:"address the gateway listens on"`

	StateDir string `envconfig:"STATE_DIR" flag:"state-dir" desc:"folder of what this process remembers between starts, for itself alone; all of it can be made again; empty: state in the data folder"`
	Instance string `envconfig:"INSTANCE" flag:"instance" desc:"name of this process among those it shares partitions with, 1 to 64 of A-Z a-z 0-9 _ -; empty: the one in the state folder"`

	NATSURL       string `envconfig:"NATS_URL" flag:"nats-url" secret:"url" desc:"NATS server or cluster; empty: the one of the data folder"`
	ClickHouseDSN string `envconfig:"CLICKHOUSE_DSN" flag:"clickhouse-dsn" secret:"url" desc:"ClickHouse, clickhouse:// (native) or http://; empty: the one of the data folder"`

	Partitions    int   `envconfig:"PARTITIONS" default:"16" flag:"partitions" desc:"partitions; fixed when an installation is made"`
	Replicas      int   `envconfig:"REPLICAS" default:"1" flag:"replicas" desc:"copies of each stream in a NATS cluster"`
	UsageMaxBytes int64 `envconfig:"USAGE_MAX_BYTES" default:"0" flag:"usage-max-bytes" desc:"disk budget of the USAGE stream, which refuses publishers when full; 0: none"`

	DedupHorizon time.Duration `envconfig:"DEDUP_HORIZON" default:"72h" flag:"dedup-horizon" desc:"how long the id of a usage event is remembered; an event older than that is too late; 1h to 840h"`
	UsageKeep    time.Duration `envconfig:"USAGE_KEEP" default:"168h" flag:"usage-keep" desc:"how long settled usage stays in the USAGE stream; the ledger has it for ever; 0: for ever too"`

	MaxAhead      time.Duration `envconfig:"MAX_AHEAD" default:"5m" flag:"max-ahead" desc:"how far in the future a usage event's time may lie"`
	FlushInterval time.Duration `envconfig:"FLUSH_INTERVAL" default:"500ms" flag:"flush-interval" desc:"longest wait before rows go to ClickHouse"`

	NATSPort             int    `envconfig:"NATS_PORT" default:"4222" flag:"nats-port" desc:"port of the embedded NATS; 0: a free one"`
	ClickHouseHTTPPort   int    `envconfig:"CLICKHOUSE_HTTP_PORT" default:"8123" flag:"clickhouse-http-port" desc:"HTTP port of the embedded ClickHouse; 0: a free one"`
	ClickHouseNativePort int    `envconfig:"CLICKHOUSE_NATIVE_PORT" default:"9000" flag:"clickhouse-native-port" desc:"native port of the embedded ClickHouse; 0: a free one"`
	EngineLib            string `envconfig:"ENGINE_LIB" flag:"engine-lib" desc:"libchdb.so of the embedded ClickHouse; empty: where make setup puts it"`

	MetricsAddr string `envconfig:"METRICS_ADDR" default:"127.0.0.1:9464" flag:"metrics-addr" desc:"address of /metrics and /healthz of a service that runs alone"`
	LogLevel    string `envconfig:"LOG_LEVEL" default:"info" flag:"log-level" desc:"debug, info, warn or error"`
}

// Bounds of DedupHorizon.
const (
	HorizonMin = time.Hour
	HorizonMax = 35 * 24 * time.Hour
)

// Load reads the environment.
func Load() (*Config, error) {
	var c Config
	if err := envconfig.Process(Prefix, &c); err != nil {
		return nil, fmt.Errorf("read the environment: %w", err)
	}
	return &c, nil
}

// Flags adds a flag for every setting to flags, with the current value as its
// default.
func (c *Config) Flags(flags *pflag.FlagSet) {
	value := reflect.ValueOf(c).Elem()
	for i := range value.NumField() {
		tag := value.Type().Field(i).Tag
		name, usage := tag.Get("flag"), tag.Get("desc")+" ["+Prefix+"_"+tag.Get("envconfig")+"]"
		switch field := value.Field(i).Addr().Interface().(type) {
		case *string:
			flags.StringVar(field, name, *field, usage)
		case *int:
			flags.IntVar(field, name, *field, usage)
		case *int64:
			flags.Int64Var(field, name, *field, usage)
		case *time.Duration:
			flags.DurationVar(field, name, *field, usage)
		default:
			panic("config: no flag for a field of type " + value.Field(i).Type().String())
		}
		if secret := tag.Get("secret"); secret != "" && value.Field(i).String() != "" {
			flags.Lookup(name).DefValue = redact(secret, value.Field(i).String())
		}
	}
}

// Validate refuses settings that cannot work, naming the variable and what is
// expected.
func (c *Config) Validate() error {
	const partitionsMax = 1024
	switch {
	case c.Partitions < 1 || c.Partitions > partitionsMax:
		return fmt.Errorf("DRAWDOWN_PARTITIONS is %d; expected 1 to %d", c.Partitions, partitionsMax)
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("DRAWDOWN_REPLICAS is %d; expected 1 to 5", c.Replicas)
	case c.DedupHorizon < HorizonMin || c.DedupHorizon > HorizonMax:
		return fmt.Errorf("DRAWDOWN_DEDUP_HORIZON is %s; expected %s to %s", c.DedupHorizon, HorizonMin, HorizonMax)
	case c.Instance != "" && lease.CheckInstance(c.Instance) != nil:
		return fmt.Errorf("DRAWDOWN_INSTANCE is %q; expected 1 to 64 of A-Z a-z 0-9 _ -", c.Instance)
	case c.FlushInterval <= 0:
		return fmt.Errorf("DRAWDOWN_FLUSH_INTERVAL is %s; expected more than 0", c.FlushInterval)
	case c.UsageKeep < 0:
		return fmt.Errorf("DRAWDOWN_USAGE_KEEP is %s; expected 0 or more", c.UsageKeep)
	case c.MaxAhead < 0:
		return fmt.Errorf("DRAWDOWN_MAX_AHEAD is %s; expected 0 or more", c.MaxAhead)
	}
	if _, _, err := net.SplitHostPort(c.HTTPAddr); err != nil {
		return fmt.Errorf("DRAWDOWN_HTTP_ADDR is %q; expected host:port", c.HTTPAddr)
	}
	_, err := c.Level()
	return err
}

// Level is LogLevel as slog's.
func (c *Config) Level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, fmt.Errorf("DRAWDOWN_LOG_LEVEL is %q; expected debug, info, warn or error", c.LogLevel)
	}
	return level, nil
}

// Setting is one setting as `drawdown config` prints it.
type Setting struct {
	Variable string `json:"variable"`
	Flag     string `json:"flag"`
	Value    string `json:"value"` // secrets redacted
	Meaning  string `json:"meaning"`
}

// Settings lists all settings in the order of the struct.
func (c *Config) Settings() []Setting {
	value := reflect.ValueOf(c).Elem()
	var settings []Setting
	for i := range value.NumField() {
		tag := value.Type().Field(i).Tag
		text := fmt.Sprint(value.Field(i).Interface())
		if number, ok := value.Field(i).Interface().(int64); ok {
			text = strconv.FormatInt(number, 10)
		}
		settings = append(settings, Setting{
			Variable: Prefix + "_" + tag.Get("envconfig"), Flag: "--" + tag.Get("flag"),
			Value: redact(tag.Get("secret"), text), Meaning: tag.Get("desc"),
		})
	}
	return settings
}

func redact(secret, value string) string {
	switch {
	case secret == "" || value == "":
		return value
	case secret == "url":
		if u, err := url.Parse(value); err == nil {
			return u.Redacted()
		}
	}
	return "(set)"
}
