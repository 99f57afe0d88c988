/*
 * /swarmlet: says in one line when this device cannot run what is in the image, else becomes the interpreter.
 *
 * It is linked statically and compiled for the oldest processor of its family (ARMv6 where the image needs ARMv7), so
 * that it still runs where the interpreter would die of an illegal instruction. It must not do anything else: whatever
 * the agent can find out itself is found out there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <unistd.h>

/* PROGRAM, given by the build: swarmlet, or stratoswarm in the coordinator's image. */
#define PYTHON "/usr/bin/python3"
#define APPLICATION "/usr/lib/swarmlet/app.zip"

/* What Docker Engine itself asks for; below it nobody has tried this image. */
#define KERNEL_MAJOR 3
#define KERNEL_MINOR 10

static int refuse(const char *why, const char *have, const char *next) {
  fprintf(stderr, PROGRAM ": %s (this is %s); nothing was started.  next: %s\n", why, have, next);
  return 1;
}

#if defined(__arm__)
/* arch/arm/include/uapi/asm/hwcap.h: VFPv3 with 32 registers, or with 16. */
#define HAS_VFP3 (1UL << 13 | 1UL << 14)

static int processor_is_too_old(void) {
  /* "v6l", "v7l", "v8l": the version of the instruction set, then the byte order. */
  const char *platform = (const char *)getauxval(AT_PLATFORM);
  const char *next = "use a Raspberry Pi 2 or newer, or any other ARMv7 or ARM64 device";
  if (platform && platform[0] == 'v' && atoi(platform + 1) < 7)
    return refuse("this image needs an ARMv7 processor", platform[1] == '6' ? "ARMv6" : platform, next);
  if (!(getauxval(AT_HWCAP) & HAS_VFP3))
    return refuse("this image needs a processor with VFPv3 floating point", platform ? platform : "one without", next);
  return 0;
}
#else
/* The image is compiled for the first x86-64 and the first ARMv8 processor: there is no older one. */
static int processor_is_too_old(void) { return 0; }
#endif

static int kernel_is_too_old(void) {
  struct utsname system;
  int major = 0, minor = 0;
  if (uname(&system) != 0 || sscanf(system.release, "%d.%d", &major, &minor) != 2)
    return 0; /* A release nobody can read is no reason to refuse. */
  if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
    return 0;
  return refuse("this image needs Linux 3.10 or newer", system.release, "update this device's system");
}

int main(int argc, char **argv) {
  if (processor_is_too_old() || kernel_is_too_old())
    return 1;

  /* Isolated (-I), without site packages (-S), optimised (-OO): no variable and no folder of the user's changes it. */
  static char *const fixed[] = {PYTHON, "-I", "-S", "-OO", APPLICATION};
  const size_t before = sizeof fixed / sizeof *fixed;
  const size_t given = argc > 1 ? (size_t)argc - 1 : 0;
  char **words = calloc(before + given + 1, sizeof *words);
  if (!words) {
    fprintf(stderr, PROGRAM ": no memory is left to start\n");
    return 1;
  }
  memcpy(words, fixed, sizeof fixed);
  if (given)
    memcpy(words + before, argv + 1, given * sizeof *words);
  execv(PYTHON, words);
  fprintf(stderr, PROGRAM ": cannot start %s: %s.  next: pull the image again\n", PYTHON, strerror(errno));
  return 1;
}
