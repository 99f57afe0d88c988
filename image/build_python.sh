#!/usr/bin/env bash
# build_python.sh SOURCES OUT: CPython with every wanted extension module built in, for the target of TARGETARCH.
# Leaves OUT/bin/python3, OUT/library (the standard library's source), OUT/include (for the extensions of others),
# OUT/builtin.txt (the modules built in) and OUT/licenses.
here=$(dirname "$(readlink -f "$0")")
. "$here/target.sh"
sources=$(readlink -f "$1") out=$(mkdir -p "$2" && readlink -f "$2") work=$(mktemp -d)

# zlib: zipimport reads the library through it.
mkdir "$work/zlib" && tar -C "$work/zlib" --strip-components=1 -xf "$sources"/zlib_*.orig.tar.*
(cd "$work/zlib" && CFLAGS="$small" ./configure --static --prefix="$work/prefix" >/dev/null && make -s -j"$(nproc)" libz.a \
  && install -D -t "$work/prefix/include" zlib.h zconf.h && install -D -t "$work/prefix/lib" libz.a)

mkdir "$work/python" && tar -C "$work/python" --strip-components=1 -xf "$sources"/python3.13_*.orig.tar.*
tar -C "$work" -xf "$sources"/python3.13_*.debian.tar.*
cd "$work/python"
# Of Debian's patches only the mended faults; the others move files about for a Debian system.
grep -E '^(CVE-|dict-use-after-free|traverse-managed-dicts|gchead-alignment)' "$work/debian/patches/series" |
  while read -r name; do
    patch -s -p1 -f <"$work/debian/patches/$name" || { printf 'image: %s does not apply\n' "$name" >&2; exit 1; }
  done

# A program that names the minute of its build is never built twice the same.
sed -i 's/define DATE __DATE__/define DATE "Jan  1 2026"/; s/define TIME __TIME__/define TIME "00:00:00"/' Modules/getbuildinfo.c

# TLS and its hashes are the native extension's, SQLite the coordinator's; the rest is for desktops or other systems.
without='_ssl _hashlib _sqlite3 _bz2 _lzma _ctypes _tkinter _curses _curses_panel _dbm _gdbm readline nis
  unicodedata _zoneinfo _interpreters _interpchannels _interpqueues _multibytecodec _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _uuid _lsprof'
export MODULE_BUILDTYPE=static ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no
export ac_cv_posix_semaphores_enabled=yes ac_cv_broken_sem_getvalue=no ac_cv_working_tzset=yes
for module in $without; do export "py_cv_module_$module=n/a"; done
CFLAGS="$small" CPPFLAGS="-I$work/prefix/include" OPT= \
LDFLAGS="-dynamic -pie -flto -Os -Wl,--gc-sections -s -L$work/prefix/lib" \
ZLIB_CFLAGS="-I$work/prefix/include" ZLIB_LIBS="-L$work/prefix/lib -lz" \
./configure --quiet --prefix=/usr --host="$host" --build=x86_64-pc-linux-gnu --with-build-python=python3.13 --enable-ipv6 \
  --without-doc-strings --without-ensurepip --disable-test-modules --without-mimalloc --without-readline \
  --with-system-libmpdec=no --with-builtin-hashlib-hashes=md5,sha1,sha2,sha3,blake2
# Modules inside the interpreter need no columns either: nobody has the source to point into.
PYTHONOPTIMIZE=2 PYTHONNODEBUGRANGES=1 make -s -j"$(nproc)" python >"$work/make.log" 2>&1 || { tail -n 60 "$work/make.log" >&2; exit 1; }

install -D python "$out/bin/python3"
mkdir -p "$out/include" && cp -r Include/. pyconfig.h "$out/include/"
sed -n 's/^ *{"\([^"]*\)", .*/\1/p' Modules/config.c | sort >"$out/builtin.txt"
cp -r Lib "$out/library"
rm -rf "$out"/library/{test,idlelib,turtledemo,ensurepip,lib2to3,tkinter}
install -D -m 644 LICENSE "$out/licenses/cpython"
install -D -m 644 "$work/zlib/LICENSE" "$out/licenses/zlib"
