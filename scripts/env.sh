# Sourced by the other scripts: where things are, and which compiler builds for wasm.
# Sets: root, cache, wasm_kind, wasm_rustc, wasm_cargo, wasm_id (after `choose_wasm`).

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Shared by all clones on a machine; nothing in it is precious.
cache=${AMPLITUDE_SDK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/amplitude-sdk}

wasm_target=wasm32-unknown-unknown

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# The version that Cargo.lock holds of a crate.
locked_version() {
  awk -v want="\"$1\"" '$1 == "name" { found = $3 == want } found && $1 == "version" { gsub(/"/, "", $3); print $3; exit }' \
    "$root/Cargo.lock"
}

cargo_fuzz_version=0.13.2
cargo_fuzz_dir() { echo "$cache/cargo-fuzz/$cargo_fuzz_version"; }

bindgen_dir() { echo "$cache/wasm-bindgen/$(locked_version wasm-bindgen)"; }

# A name for a compiler: version and commit, so that a sysroot is never used by another compiler than its maker.
compiler_id() {
  "$1" -vV | awk '$1 == "release:" { r = $2 } $1 == "commit-hash:" { h = substr($2, 1, 9) } $1 == "host:" { t = $2 } END { print r "-" h "-" t }'
}

has_wasm_std() { compgen -G "$1/lib/rustlib/$wasm_target/lib/libstd-*.rlib" >/dev/null; }

# The Debian packages' own compiler; never the rustup proxies, which stand earlier on PATH.
debian_rustc=/usr/bin/rustc
debian_cargo=/usr/bin/cargo

# Chooses the compiler for wasm among what is installed; fails when there is none.
# AMPLITUDE_SDK_WASM=rustup|debian forces one.
choose_wasm() {
  local choice=${AMPLITUDE_SDK_WASM:-}
  if [[ $choice != debian ]] && has rustc && has_wasm_std "$(rustc --print sysroot)"; then
    wasm_kind=rustup
    wasm_rustc=$(rustc --print sysroot)/bin/rustc
    wasm_cargo=$(rustc --print sysroot)/bin/cargo
    # A distribution's compiler has no cargo beside it.
    [[ -x $wasm_cargo ]] || wasm_cargo=$(command -v cargo)
    wasm_id=$(compiler_id "$wasm_rustc")
    return 0
  fi
  if [[ $choice != rustup && -x $debian_rustc && -x $debian_cargo ]]; then
    wasm_kind=debian
    wasm_rustc=$debian_rustc
    wasm_cargo=$debian_cargo
    wasm_id=$(compiler_id "$wasm_rustc")
    has_wasm_std "$(plain_sysroot)" && return 0
  fi
  return 1
}

# std as the compiler's makers configure it, with the `test` crate. Only the Debian path needs its own.
plain_sysroot() { echo "$cache/sysroot/$wasm_id/plain"; }
# std rebuilt for size, with panics that abort at once; for the npm package.
size_sysroot() { echo "$cache/sysroot/$wasm_id/size"; }

# Where `wasm-cargo` builds, and where `wasm-cargo --size` does. One folder a compiler and std, lest they rebuild in turn.
wasm_target_dir() { echo "$root/target/wasm-$wasm_kind${1:+-$1}"; }

# The newest wasm-ld-NN that Debian installed.
debian_linker() { compgen -c wasm-ld- | grep -E '^wasm-ld-[0-9]+$' | sort -t- -k3 -n | tail -n 1; }

python_dir() { echo "$cache/python/$(cksum <"$root/tests/interop-requirements.txt" | cut -d' ' -f1)"; }
