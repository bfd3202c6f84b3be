package engine

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openTerminal makes standard input a terminal of this process's own, whose
// input ends when the result is closed. The engine needs one to be robust: its
// release aborts the whole process at any error of any connection, a wrong
// password or a lost client included, unless it believes itself at a terminal
// (ClickHouse issue 115666, fixed after 26.7).
func openTerminal() (keyboard *os.File, err error) {
	keyboard, err = os.OpenFile("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open engine terminal: %w", err)
	}
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock engine terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("name engine terminal: %w", err)
	}
	screen, err := unix.Open("/dev/pts/"+strconv.Itoa(number), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open engine terminal: %w", err)
	}
	defer unix.Close(screen)
	if err := unix.Dup3(screen, 0, 0); err != nil {
		return nil, fmt.Errorf("connect engine terminal: %w", err)
	}
	return keyboard, nil
}
