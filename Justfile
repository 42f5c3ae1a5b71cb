# Mirrors the tasks of deno.json. Deno from npm, unless one is on PATH.
deno := `command -v deno || echo "npx --yes deno@2.9.6"`

# the commands there are
default:
    @just --list

# builds dist/urunc
compile *ARGS:
    {{deno}} task compile {{ARGS}}

# compiles the committed machine code again (--check: compares it)
native *ARGS:
    {{deno}} task native {{ARGS}}

# writes the manual pages to dist/man
man *ARGS:
    {{deno}} task man {{ARGS}}

# packages dist/urunc: a .deb, SHA-256 sums and the list of components
package *ARGS:
    {{deno}} task package {{ARGS}}

# boots a fixture guest as an unprivileged user and shows who ran it
demo *ARGS:
    {{deno}} task demo {{ARGS}}

# formatting, lints and types
ok:
    {{deno}} task ok

# all tests, or groups, files and names: just test out_of_memory
test *ARGS:
    {{deno}} task test {{ARGS}}

# unit tests at once, without packages, root or a build: just test-unit oci
test-unit *ARGS:
    {{deno}} task test:unit {{ARGS}}

# unit tests, again after each change
test-watch *ARGS:
    {{deno}} task test:watch {{ARGS}}

# which lines the unit tests execute, by room
coverage *ARGS:
    {{deno}} task coverage {{ARGS}}

# tests in nodes (virtual machines with systemd), or some of them: just test-vm docker
test-vm *ARGS:
    {{deno}} task test:vm {{ARGS}}

# a shell in a fresh node with this tree in it
vm *ARGS:
    {{deno}} task vm {{ARGS}}

# hostile inputs for every parser: just test-fuzz SECONDS SEED
test-fuzz *ARGS:
    {{deno}} task test:fuzz {{ARGS}}

# leaves out each step and policy in turn, and expects a test to fail: just test-mutation NAME…
test-mutation *ARGS:
    {{deno}} task test:mutation {{ARGS}}

# a thousand containers, and what is left of them
test-soak *ARGS:
    {{deno}} task test:soak {{ARGS}}

# times start-up against runc
bench *ARGS:
    {{deno}} task bench {{ARGS}}

# records which functions a start calls: they are compiled early; needs root
early *ARGS:
    {{deno}} task early {{ARGS}}
