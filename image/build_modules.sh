#!/usr/bin/env bash
# build_modules.sh SQLITE PYTHON_SOURCES PYTHON OUT: the extension modules that only the coordinator's interpreter has, for
# TARGETARCH: OUT/_sqlite3.so with SQLite inside, and OUT/unicodedata.so, which aiohttp's addresses need.
here=$(dirname "$(readlink -f "$0")")
. "$here/target.sh"
sources=$(readlink -f "$1") python_sources=$(readlink -f "$2") python=$(readlink -f "$3") out=$(mkdir -p "$4" && readlink -f "$4") work=$(mktemp -d)

mkdir "$work/sqlite" "$work/python"
tar -C "$work/sqlite" --strip-components=1 -xf "$sources"/sqlite3_*.orig.tar.*
tar -C "$work" -xf "$sources"/sqlite3_*.debian.tar.*
tar -C "$work/python" --strip-components=1 -xf "$python_sources"/python3.13_*.orig.tar.* --wildcards '*/Modules/*'
cd "$work/sqlite"
# Of Debian's patches only the mended faults.
grep -E 'CVE-|fix_a_bug' "$work/debian/patches/series" | while read -r name; do patch -s -p1 -f <"$work/debian/patches/$name"; done
# One file of C, made by programs of this machine.
(unset CC AR RANLIB; CC=cc ./configure --quiet --disable-tcl --disable-readline && make -s sqlite3.c >/dev/null)

modules=$work/python/Modules
module() { # NAME WORDS... : links one module; what it needs of Python it finds in the interpreter.
  local name=$1; shift
  "$CC" -shared ${small/-Os/-O2} -I"$modules" -I"$python/include" -I"$python/include/internal" -DPy_BUILD_CORE_MODULE \
    "$@" -Wl,--gc-sections -s -o "$out/$name.so"
}
module unicodedata "$modules/unicodedata.c"
module _sqlite3 -I. -I"$modules/_sqlite" -DMODULE_NAME='"sqlite3"' -DSQLITE_THREADSAFE=1 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_DQS=0 \
  -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_LIKE_DOESNT_MATCH_BLOBS -DHAVE_USLEEP=1 -DHAVE_FDATASYNC=1 \
  sqlite3.c "$modules"/_sqlite/*.c
