package pgserver

import (
	"fmt"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/windows"
)

// guard is a job object that Windows ends, with the processes in it, when its
// last handle closes, which the death of this process does.
type guard struct{ job windows.Handle }

// newGuard makes the job. Nobody removes the directories of a killed process.
func newGuard(dir, socket string) (*guard, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("create job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{
			LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
		},
	}
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("limit job object: %w", err)
	}
	return &guard{job}, nil
}

// start starts cmd outside the console's group, so that Ctrl-C does not reach
// it, and puts it into the job.
func (g *guard) start(_ string, cmd *exec.Cmd, _ *account) error {
	cmd.SysProcAttr = &windows.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	if err := cmd.Start(); err != nil {
		return err
	}
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE
	h, err := windows.OpenProcess(access, false, uint32(cmd.Process.Pid))
	if err == nil {
		err = windows.AssignProcessToJobObject(g.job, h)
		_ = windows.CloseHandle(h)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return fmt.Errorf("put %s into the job: %w", cmd.Path, err)
	}
	return nil
}

// wait waits for cmd; release ends what it started.
func (g *guard) wait(_ string, cmd *exec.Cmd) error { return cmd.Wait() }

func (g *guard) finished(string) {}
func (g *guard) scratch(string)  {}
func (g *guard) release()        { _ = windows.CloseHandle(g.job) }
