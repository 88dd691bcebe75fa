# Dari: one make, no recursion, one output folder per mode.
#
#   make            build/dev/dari          MODE=release or MODE=san for the others
#   make demo       a clinic's day, end to end, from nothing
#   make run        run config/dari.xml
#   make test       everything that can be checked
#   make bench      how fast, as ratios against ceilings (HOW=quick for a short run)
#   make help       the rest

MAKEFLAGS += -rR --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:
ifneq ($(filter default undefined,$(origin CC)),)
CC := cc
endif

MODE   ?= dev
B      := build/$(MODE)
PKGS   := libxml-2.0 libzmq libpq libcrypto libssl log4c libevent libevent_openssl jansson libcurl libzip zlib odbc

# Only a goal that compiles asks the compiler and pkg-config what they have.
ifneq ($(filter-out help setup clean demo bench test check-source format,$(or $(MAKECMDGOALS),all)),)
cc-opt  = $(shell $(CC) -Werror $(1) -xc -c /dev/null -o /dev/null 2>/dev/null && echo $(1))
WARN   := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wno-format-zero-length $(call cc-opt,-Wno-format-truncation) -Wundef -Wvla \
          -Wwrite-strings -Wcast-qual -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
          -Wold-style-definition -Wno-sign-conversion $(call cc-opt,-Wlogical-op) \
          $(call cc-opt,-Wduplicated-cond) $(call cc-opt,-Wjump-misses-init)
HARDEN := -fstack-protector-strong $(call cc-opt,-fstack-clash-protection) $(call cc-opt,-fcf-protection)
PKGINC := $(shell pkg-config --cflags $(PKGS) | sed 's/-I/-isystem /g')
LIBS   := $(shell pkg-config --libs $(PKGS)) -lpthread
endif
# Warnings are errors with the compiler this is developed with; another one may know more of them.
WERROR := $(if $(filter 12 12.%,$(shell $(CC) -dumpversion 2>/dev/null)),-Werror)
flags.dev     := -O1 -g $(WERROR) -DDARI_FAIL_POINTS
flags.release := -O2 -g -D_FORTIFY_SOURCE=2 $(HARDEN)
flags.san     := -O1 -g $(WERROR) -DDARI_FAIL_POINTS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
flags.fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
MODEF  := $(flags.$(MODE))
ALL    := -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -I. $(PKGINC) $(WARN) $(MODEF) -fPIE -MMD -MP $(CFLAGS)
LINK   := $(MODEF) -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)

SRC    := $(sort $(wildcard core/*/*.c adapters/*/*.c))
MAIN   := core/app/main.c
OBJ    := $(patsubst %.c,$B/%.o,$(filter-out $(MAIN),$(SRC))) $B/embedded.o
TLIB   := $(patsubst %.c,$B/%.o,$(sort $(wildcard tests/lib/*.c)))
UNIT   := $(patsubst %.c,$B/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ   := $(patsubst %.c,$B/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
DRIVER := $(patsubst %.c,$B/%,$(sort $(wildcard tests/integration/*.c)))
BENCH  := $(addprefix $B/tests/bench/,load ceiling scan curve)
EMBED  := $(sort $(wildcard config/schemas/*.rng core/store/migrations/*.sql))

all: $B/dari

$B/dari: $(patsubst %.c,$B/%.o,$(MAIN)) $(OBJ)
	@echo "  LD  $@"; $(CC) $(LINK) -o $@ $^ $(LIBS)

$B/libdari.a: $(OBJ)
	@rm -f $@; ar rcs $@ $^

$B/%.o: %.c $B/.flags
	@mkdir -p $(@D); echo "  CC  $<"; $(CC) $(ALL) -c -o $@ $<

$B/embedded.c: core/base/embed.sh $(EMBED) $B/.flags
	@mkdir -p $(@D); sh core/base/embed.sh $(EMBED) > $@

$B/embedded.o: $B/embedded.c
	@$(CC) $(ALL) -c -o $@ $<

# Drivers that misbehave, for adapters/sql.
FAKES := $(patsubst %.c,$B/%.so,$(sort $(wildcard tests/drivers/*.c)))
$(FAKES): $B/%.so: %.c $B/.flags
	@mkdir -p $(@D); echo "  LD  $@"; $(CC) $(filter-out -fsanitize=% -Wmissing-prototypes,$(ALL)) -fPIC -shared -o $@ $<

$(UNIT): $B/%: $B/%.o $(TLIB) $B/libdari.a | $(FAKES)
	@echo "  LD  $@"; $(CC) $(LINK) -o $@ $^ -lcmocka $(LIBS)

# Fuzz targets: libFuzzer with clang (MODE=fuzz CC=clang); in other modes they replay files.
$(FUZZ): $B/%: $B/%.o $(if $(filter fuzz,$(MODE)),,$B/tests/fuzz/replay.o) $B/libdari.a
	@echo "  LD  $@"; $(CC) $(LINK) $(if $(filter fuzz,$(MODE)),-fsanitize=fuzzer) -o $@ $^ $(LIBS)

$B/tests/fuzz/fuzz_workbook: $B/tests/lib/book.o

$B/.flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(ALL)' | cmp -s - $@ || echo '$(CC) $(ALL)' > $@

# What integration tests drive a room with.
$(DRIVER): $B/%: $B/%.o $B/libdari.a
	@echo "  LD  $@"; $(CC) $(LINK) -o $@ $^ $(LIBS)

# What measurements need; make bench runs them.
$(BENCH): $B/%: $B/%.o $B/tests/bench/messages.o $B/libdari.a
	@echo "  LD  $@"; $(CC) $(LINK) -o $@ $^ $(LIBS)

$B/tests/bench/slowflush.so: tests/bench/slowflush.c $B/.flags
	@mkdir -p $(@D); echo "  LD  $@"; $(CC) $(ALL) -fPIC -shared -o $@ $<

bench-programs: $B/dari $(BENCH) $B/tests/bench/slowflush.so

# Ratios against ceilings measured in the same run; never fails for being slow. HOW=quick or HOW=full.
bench:
	@sh deploy/setup.sh quiet
	@$(MAKE) MODE=release bench-programs
	@/usr/bin/python3 tests/bench/run.py $(HOW)

unit: $(UNIT)
fuzz: $(FUZZ)
drivers: $(DRIVER)

# Every header compiles alone.
HEADERS := $(sort $(wildcard core/*.h core/*/*.h adapters/*/*.h tests/lib/*.h))
check-headers: $(patsubst %,$B/%.ok,$(HEADERS))
$B/%.h.ok: %.h $B/.flags
	@mkdir -p $(@D); $(CC) $(filter-out -MMD -MP,$(ALL)) -Wno-unused -xc -fsyntax-only -include $< /dev/null && touch $@

# Layers, owners of libraries, banned functions, formatting. Compiles nothing.
check-source:
	@sh tests/check-source

setup:
	@sh deploy/setup.sh

demo:
	@sh deploy/setup.sh quiet
	@$(MAKE) all
	@bash deploy/demo.sh "$(B)/dari"

run: all
	@sh deploy/run.sh "$(B)/dari" config/dari.xml

test:
	@sh deploy/setup.sh test quiet
	@sh tests/run

format:
	@clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n 1,8p
	@echo "  make setup        install missing packages"
	@echo "  make unit         build the unit tests        make check-headers   each header alone"
	@echo "  make check-source layers, owners, banned functions, formatting"
	@echo "  make fuzz MODE=fuzz CC=clang   build the fuzz targets"

-include $(OBJ:.o=.d) $(TLIB:.o=.d) $(UNIT:=.d) $(DRIVER:=.d) $(BENCH:=.d) $B/tests/bench/messages.d $(FUZZ:=.d) $B/core/app/main.d

.PHONY: all bench bench-programs unit fuzz drivers check-headers check-source setup demo run test format clean help FORCE
.SECONDARY:
