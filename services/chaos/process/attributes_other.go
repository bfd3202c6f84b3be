//go:build !linux

package process

import "syscall"

// attributes put a program in a group of its own. Only Linux can end it when
// the run is killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
