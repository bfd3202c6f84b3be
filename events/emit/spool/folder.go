package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Format is the version of the folder's format that this package reads and
// writes.
const Format = 1

const (
	descriptionName = "spool.json"
	lockName        = "lock"
	refusedName     = "refused.jsonl"
	segmentSuffix   = ".segment"
	damagedSuffix   = ".damaged" // after the segment's name
)

// Description says what the events of a spool belong to, so that they can be
// delivered by a process that starts without a server to ask.
type Description struct {
	Partitions   int    `json:"partitions"`
	Installation string `json:"installation,omitempty"` // empty while not known
}

// describedFolder is spool.json.
type describedFolder struct {
	Format int `json:"format"`
	Description
}

func readDescription(dir string) (Description, error) {
	path := filepath.Join(dir, descriptionName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Description{}, nil
	}
	if err != nil {
		return Description{}, fmt.Errorf("read the spool's description: %w", err)
	}
	var described describedFolder
	if err := json.Unmarshal(text, &described); err != nil {
		return Description{}, fmt.Errorf("read the spool's description %s: %w", path, err)
	}
	if described.Format != Format {
		return Description{}, fmt.Errorf("%s says format %d, this program reads format %d: %w", path, described.Format, Format, ErrFormat)
	}
	if described.Partitions < 1 {
		return Description{}, fmt.Errorf("%s says %d partitions, expected at least 1", path, described.Partitions)
	}
	return described.Description, nil
}

// writeDescription replaces spool.json, so that a crash leaves the old one or
// the new one.
func writeDescription(dir string, d Description) error {
	text, err := json.Marshal(describedFolder{Format: Format, Description: d})
	if err != nil {
		return fmt.Errorf("encode the spool's description: %w", err)
	}
	path := filepath.Join(dir, descriptionName)
	if err := writeSynced(path+".new", append(text, '\n')); err != nil {
		return fmt.Errorf("write the spool's description: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("replace the spool's description: %w", err)
	}
	return syncFolder(dir)
}

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder makes the names in dir durable. Windows has no such thing.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the spool's folder: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync the spool's folder: %w", err)
	}
	return nil
}

func segmentName(number uint64) string { return fmt.Sprintf("%016d%s", number, segmentSuffix) }

// listSegments returns the numbers of the segments in dir, oldest first.
func listSegments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the spool's folder: %w", err)
	}
	var numbers []uint64
	for _, entry := range entries {
		digits, ok := strings.CutSuffix(entry.Name(), segmentSuffix)
		if !ok {
			continue
		}
		number, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || segmentName(number) != entry.Name() {
			return nil, fmt.Errorf("%s is no segment of a spool", filepath.Join(dir, entry.Name()))
		}
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers, nil
}
