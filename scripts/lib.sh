# For scripts that do a job in steps: says what is being done and how long it took so far. Source it; it runs nothing.

# Microseconds since the outermost of these scripts began; those that it starts count on.
export HEARTH_BEGAN_US=${HEARTH_BEGAN_US:-${EPOCHREALTIME/[.,]/}}

# say TEXT: a progress line.
say() {
	local elapsed_ms=$(((${EPOCHREALTIME/[.,]/} - HEARTH_BEGAN_US) / 1000))

	printf '[%4d.%d s] %s\n' $((elapsed_ms / 1000)) $((elapsed_ms % 1000 / 100)) "$*" >&2
}

# step NAME TEXT COMMAND...: runs COMMAND; its stdout goes to build/logs/NAME.out, its stderr is seen.
step() {
	local out=build/logs/$1.out
	local text=$2

	shift 2
	mkdir -p build/logs
	say "$text"
	"$@" </dev/null >"$out" && return
	tail -n 20 "$out" >&2
	say "failed: $* ($out has all that it printed)"
	return 1
}
