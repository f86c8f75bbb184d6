package s3test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const childEnv = "ATLASCTL_S3TEST_CHILD"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A test process that is killed takes the server and its data with it.
func TestServerDiesWithTheProcess(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		g := Server(t)
		_, _ = os.Stdout.WriteString(g.address + "\n" + g.root + "\n")
		select {}
	}
	find(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	address := lines.Text()
	lines.Scan()
	root := lines.Text()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for range 500 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		_, gone := os.Stat(root)
		if err != nil && os.IsNotExist(gone) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the server or its data is still there")
}
