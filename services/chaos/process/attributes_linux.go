package process

import "syscall"

// attributes put a program in a group of its own, out of reach of a terminal's
// Ctrl-C, and end it when the run ends, even by SIGKILL.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
