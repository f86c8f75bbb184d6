# Ends a throw-away PostgreSQL server when the process that started it is gone.
#   $1  the server's directory; $1/pids has one file per process, with its pid
#   $2  the directory of its socket, often the same
# Standard input is a pipe whose other end only that process has. A line on it
# names an unfinished directory of the cache, an empty line says that it is done.
trap '' HUP INT TERM
scratch=
while IFS= read -r line; do scratch=$line; done

# From here on no process can start: each writes its pid before it does anything,
# to a place that this takes away. So those seen below are all there are.
mv "$1/pids" "$1/ended" 2>/dev/null
for file in "$1"/ended/*; do
    [ -s "$file" ] || continue
    read -r pid <"$file"
    # A postmaster ends its children, kills after 5 s those that do not listen, and
    # gives back the shared memory. The children of a killed initdb do the latter
    # when they see its pipe close; killed themselves they would leave it behind.
    # The lock file is there as long as that memory is, and unlike the process it
    # also goes where process 1 does not reap.
    signal=KILL
    [ "${file##*/}" = postgres ] && signal=QUIT
    kill -s "$signal" "$pid" 2>/dev/null
    left=200
    while [ "$left" -gt 0 ] && [ -e "$1/data/postmaster.pid" ] && kill -s 0 -- "-$pid" 2>/dev/null; do
        sleep 0.05 2>/dev/null || sleep 1
        left=$((left - 1))
    done
    kill -s KILL -- "-$pid" 2>/dev/null
done

rm -rf -- "$1" "$2" ${scratch:+"$scratch"} 2>/dev/null && exit
sleep 1 # something was still being written
rm -rf -- "$1" "$2" ${scratch:+"$scratch"}
