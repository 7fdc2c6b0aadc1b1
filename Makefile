# Tidepool's verbs: `make help` lists them. Everything made lies under build/; what is downloaded, and ccache's copies of what was
# compiled, lie in ~/.cache/tidepool. The mechanics of set-up (packages, pinned downloads, images) are small scripts in .setup/.
#
# Knobs:  SMP=1..8  MEM=512M  MONITOR=0 (no Lua inside)  CLANG=1  DEBUG=1 (checks at run time; README)
#         COVER=1 (records what ran: k.cover)  HARD_xxx=1 (makes a rare event constant; see the README)
MONITOR ?= 1
SMP     ?= 4
MEM     ?= 512M

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
ifeq (,$(filter -j%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(shell nproc)
endif

# ---- one build folder per configuration: build/kernel, build/nomon, build/clang-debug, ...
HARD   := $(sort $(filter HARD_%,$(.VARIABLES)))
CONFIG := $(if $(CLANG),clang) $(if $(filter 0,$(MONITOR)),nomon) $(if $(DEBUG),debug) $(if $(COVER),cover) $(HARD)
SPACE  := $(subst ,, )
O      := build/$(or $(subst $(SPACE),-,$(strip $(CONFIG))),kernel)
ELF    := $(O)/tidepool.elf
LUA    := build/third_party/lua/src
FDT    := build/third_party/dtc/libfdt
LIBC   := /usr/lib/picolibc/riscv64-unknown-elf

# ---- the kernel
SRC     := $(sort $(shell find kernel $(if $(filter 1,$(MONITOR)),monitor) -name '*.[cS]' -not -path kernel/task/vdso/code.c \
           $(if $(COVER),,-not -name cover.c) 2>/dev/null))
FDT_SRC := fdt fdt_addresses fdt_ro fdt_rw fdt_strerror fdt_sw fdt_wip
LUA_SRC := $(if $(filter 1,$(MONITOR)),lapi lauxlib lbaselib lcode lcorolib lctype ldebug ldo ldump lfunc lgc llex \
           lmathlib lmem lobject lopcodes lparser lstate lstring lstrlib ltable ltablib ltm lundump lutf8lib lvm lzio)
OBJ     := $(SRC:%=$(O)/%.o) $(FDT_SRC:%=$(O)/libfdt/%.o) $(LUA_SRC:%=$(O)/lua/%.o)

WARN    := -Wall -Wextra -Werror
# Configurations have much of their preprocessed text in common, and clones all of it: the same text is compiled once.
export CCACHE_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidepool/ccache
export CCACHE_MAXSIZE := 1G
export CCACHE_NODIRECT := 1
MACHINE := -mabi=lp64 -mcmodel=medany -O2 -g -std=gnu11 -fms-extensions -ftls-model=local-exec -fno-common -fno-pic \
           -fno-strict-aliasing -fno-stack-protector -fno-asynchronous-unwind-tables -fomit-frame-pointer \
           -ffunction-sections -ffile-prefix-map=$(CURDIR)=.
USE_GCC   := riscv64-unknown-elf-gcc --specs=picolibc.specs -march=rv64imac_zicsr_zifencei -msmall-data-limit=0 -Werror=jump-misses-init
USE_CLANG := clang --target=riscv64-unknown-elf -march=rv64imac -nostdlibinc -isystem $(LIBC)/include \
             -Wno-microsoft-anon-tag
KCC       := $(if $(CLANG),$(USE_CLANG),$(USE_GCC))
# what is checked while it runs in a debug build of our own files; not of Lua and libfdt
CHECKS  := $(if $(DEBUG),-fsanitize=undefined -fno-sanitize-recover=all)
INCLUDE := -Ikernel -Ikernel/arch/riscv/include -isystem $(FDT)
KFLAGS  := $(MACHINE) $(INCLUDE) $(if $(DEBUG),-DDEBUG=1 -DASYNC_CHECKED=1 -DLOCK_ORDER=1 -DFREED_CHECKED=1 \
             -DTRANSLATIONS_CHECKED=1) $(HARD:%=-D%=1)
MFLAGS  := -Imonitor -isystem $(LUA)
DEPEND   = -MMD -MP -MF $@.d

all: $(ELF) build/initrd.cpio build/tests.cpio build/disk.img $(if $(wildcard host-console/*.c),build/kmon)

elf: $(ELF)                     # and where it lies, for tests/variant
	@echo $(ELF)
$(ELF): .setup/link kernel/arch/riscv/link.ld $(OBJ)
	@echo "  LINK $@"; .setup/link $@ $(filter-out .setup/link,$^)
	@lua5.4 kernel/async/arena.lua $@

# clang 14 knows no `.option arch`: its assembly files may name floating point registers throughout
ASM      = $(if $(CLANG),$(if $(filter %.S,$<),-march=rv64imafdc -Wno-unused-command-line-argument))

# the recorder itself is not recorded
RECORD   = $(if $(COVER),$(if $(filter %/cover.c,$<),,-fsanitize-coverage=trace-pc))

$(O)/kernel/%.o: kernel/% | build/.third-party
	@echo "  CC   $<"; mkdir -p $(@D); ccache $(KCC) $(KFLAGS) $(CHECKS) $(RECORD) $(WARN) $(ASM) $(DEPEND) -c $< -o $@
$(O)/kernel/task/vdso/image.S.o: build/vdso.so
$(O)/monitor/session/prelude_text.S.o build/unit/session_eval_test: $(wildcard monitor/session/prelude/*.lua)
$(O)/monitor/%.o: monitor/% | build/.third-party
	@echo "  CC   $<"; mkdir -p $(@D); ccache $(KCC) $(KFLAGS) $(MFLAGS) $(CHECKS) $(WARN) $(ASM) $(DEPEND) -c $< -o $@
$(O)/libfdt/%.o: build/.third-party
	@mkdir -p $(@D); ccache $(KCC) $(KFLAGS) -w -c $(FDT)/$*.c -o $@
$(O)/lua/%.o: build/.third-party $(wildcard monitor/lua/*.h)
	@mkdir -p $(@D); ccache $(KCC) $(KFLAGS) $(if $(wildcard monitor/lua/luaport.h),-include monitor/lua/luaport.h) -w -c $(LUA)/$*.c -o $@

# ---- what is not ours: pinned in .setup/pins, unpacked under build/, never committed
build/.third-party: .setup/pins .setup/unpack $(wildcard monitor/lua/patches/*.patch) | build/.need-build
	@.setup/fetch && .setup/unpack && touch $@
build/.need-%: .setup/packages
	@mkdir -p build; .setup/need $* && touch $@
build/.need-run build/.need-lint build/.need-debug: | build/.need-build
build/.need-test build/.need-bench: | build/.need-run
build/.need-test: | build/.need-debug
build/.need-fuzz: | build/.need-test

# ---- user programs, the root file system in memory (tests.cpio: the same with tests/abi in it), the disk
USER  := $(patsubst user/%.c,build/user/%,$(shell find user -name '*.c' -not -path 'user/rootfs/*' 2>/dev/null)) \
         $(patsubst user/%.S,build/user/%,$(shell find user -name '*.S' -not -path 'user/rootfs/*' 2>/dev/null))
ABI   := $(patsubst %.c,build/%,$(wildcard tests/abi/*.c))
UCC   := riscv64-linux-gnu-gcc
UFLAGS = -O2 -g -std=gnu11 -Wall -Wextra -Werror $(LINKED) -pthread $(DEPEND)
LINKED = -static # a program may want it otherwise
build/user/bases: LINKED = -static-pie -Wl,--no-dynamic-linker

build/vdso.so: kernel/task/vdso/code.c kernel/task/vdso/code.lds kernel/task/vdso/data.h | build/.need-build
	@echo "  VDSO $@"; $(UCC) -O2 -std=gnu11 -Wall -Wextra -Werror -march=rv64imac -mabi=lp64 -ffreestanding -fPIC \
	    -fno-stack-protector -fno-asynchronous-unwind-tables -shared -nostdlib -Wl,--hash-style=both,--build-id=none \
	    -Wl,-Bsymbolic,--no-undefined,-soname=linux-vdso.so.1,-z,max-page-size=4096,-s,-T,$(word 2,$^) $< -o $@
build/user/%: user/%.c | build/.need-build
	@echo "  USER $<"; mkdir -p $(@D); $(UCC) $(UFLAGS) $< -o $@
build/tests/%: tests/%.c | build/.need-build
	@echo "  USER $<"; mkdir -p $(@D); $(UCC) $(UFLAGS) $< -o $@
build/user/%: user/%.S | build/.need-build
	@echo "  USER $<"; mkdir -p $(@D); $(UCC) $(UFLAGS) -nostdlib $< -o $@
build/initrd.cpio: .setup/initrd $(USER)
build/tests.cpio: .setup/initrd $(USER) $(ABI)
build/initrd.cpio build/tests.cpio: $(shell find user/rootfs -type f 2>/dev/null) build/.third-party
	@echo "  CPIO $@"; .setup/initrd $@ build/third_party/busybox user/rootfs $(filter build/user/% build/tests/%,$^)
build/disk.img: .setup/disk | build/.need-run
	@echo "  DISK $@"; .setup/disk $@

# ---- the host's console: shares the wire's C files with the kernel
CONSOLE := $(wildcard host-console/*.c)
KMON    := $(patsubst %.c,build/host/%.o,$(CONSOLE) $(if $(CONSOLE),$(wildcard monitor/wire/*.c)))
HLIBS   := jansson libedit ncurses lua5.4 zlib
HFLAGS   = -O2 -g -std=gnu11 -D_GNU_SOURCE -fms-extensions -Wall -Wextra -Werror -Ihost-console -Imonitor -Ikernel $$(pkg-config --cflags $(HLIBS))

build/host/host-console/dump.o build/host/host-console/top.o: $(wildcard host-console/*.lua monitor/session/prelude/*.lua)
build/kmon: $(KMON) | build/.need-build
	@echo "  LINK $@"; gcc -o $@ $^ $$(pkg-config --libs $(HLIBS)) -pthread -lm
build/host/%.o: %.c | build/.need-build
	@echo "  HOST $<"; mkdir -p $(@D); ccache gcc $(HFLAGS) $(DEPEND) -c $< -o $@

# ---- tests: TAP under prove. A unit test names in comments what it is linked with and how (tests/unit-build);
# a boot test is a Lua file that kmon runs in a machine of 1, 2 and 4 harts (tests/wrap-boot, tests/guest).
UNIT   := $(patsubst tests/unit/%.c,build/unit/%,$(wildcard tests/unit/*_test.c))
BOOT   := $(if $(filter 1,$(MONITOR)),$(shell tests/wrap-boot --list))
SCRIPT := $(wildcard tests/*/*.t)
FUZZ   := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))

build/unit/%: tests/unit/%.c tests/unit-build | build/.need-test build/.third-party
	@echo "  UNIT $<"; tests/unit-build $< $@
build/fuzz/%: tests/fuzz/%.c tests/unit-build | build/.need-fuzz build/.third-party
	@echo "  FUZZ $<"; tests/unit-build $< $@
build/boot/%: tests/wrap-boot
	@tests/wrap-boot $@

# A machine of the usual build has 120 s (tests/guest), one that checks itself three times that.
test: all $(UNIT) $(BOOT) $(FUZZ) | build/.need-test    ## every test; ends with 'N passed, N failed'
	@$(if $(DEBUG),GUEST_TIMEOUT=360) ELF=$(ELF) MONITOR=$(MONITOR) PERL5LIB=tests/lib prove -j2 --harness Count $(TEST_FLAGS) $(or $(TESTS),$(SCRIPT) $(BOOT) $(UNIT))
unit: $(UNIT)                   ## the host's unit tests alone, in seconds
	@PERL5LIB=tests/lib prove -j2 --harness Count $(UNIT)
fuzz: $(FUZZ) | build/.need-fuzz  ## each fuzz target for SECS seconds (60)
	@for target in $(FUZZ); do mkdir -p $$target.corpus; echo "== $$target"; \
	    $$target -max_total_time=$(or $(SECS),60) -print_final_stats=1 -artifact_prefix=$$target- $$target.corpus || exit 1; done
soak: all $(ABI) $(FUZZ) | build/.need-test  ## fuzz targets, load, leaks, abi and fuzzed calls on the debug and every HARD build, for MINUTES (60)
	@tests/soak $(or $(MINUTES),60)

traps: all | build/.need-test     ## plant mistakes that were made before, one at a time: its test must fail (tests/traps)
	@tests/traps/run $(TRAPS)

# ---- labs: a student's name decides the machine; see labs/README.md
lab: | build/.need-run          ## boot a student's machine: LAB=01 STUDENT=name
	@ELF=$(ELF) labs/lab start "$(LAB)" "$(STUDENT)"
grade: | build/.need-run        ## grade the answers and the kernel of a lab: LAB=01 (ANSWERS=FILE)
	@ELF=$(ELF) labs/lab grade "$(LAB)" "$(ANSWERS)"

# ---- verbs
QEMU := qemu-system-riscv64 -M virt -smp $(SMP) -m $(MEM) -nographic -global virtio-mmio.force-legacy=false \
        -kernel $(ELF) -initrd build/initrd.cpio -drive file=build/disk.img,format=raw,if=none,id=disk0 \
        -device virtio-blk-device,drive=disk0 -device virtio-rng-device
ifeq (,$(filter $(SMP),1 2 3 4 5 6 7 8))
$(error SMP is the number of harts: 1 to 8, not "$(SMP)")
endif

run: all | build/.need-run      ## boot to a shell; Ctrl-] opens the monitor, poweroff ends it
ifeq ($(MONITOR)$(if $(KMON),k),1k)
	@exec build/kmon qemu --share build/line --kernel $(ELF) --smp $(SMP) --mem $(MEM) --disk build/disk.img --initrd build/initrd.cpio tty
else
	@exec $(QEMU)
endif

debug: all | build/.need-debug build/.need-run  ## the same, halted until gdb attaches
	@echo "in another terminal:  gdb-multiarch $(ELF) -x kernel/gdb/tidepool.py -ex 'target remote :1234'"
	@exec $(QEMU) -s -S

lint: compile_commands.json | build/.need-lint build/.need-test      ## format, clang-tidy, and the rules of the house
	@tests/lint
format: | build/.need-test      ## lay out the C files you changed in the house style (ALL=1: every file)
	@tests/format $(ALL)
compile_commands.json: FORCE | build/.third-party  ## for editors and clang-tidy
	@.setup/compile-commands '$(USE_CLANG) $(KFLAGS) $(MFLAGS) $(WARN)' "clang $(HFLAGS)" $(SRC) -- $(CONSOLE) >$@
pictures: all | build/.need-test  ## boot a machine and draw what README shows of it
	@tests/pictures
bench: all | build/.need-bench  ## kbench on one hart in guest instructions, beside Linux's, into build/bench.tsv
	@tests/bench $(ELF)

doctor:                         ## say what is missing or too old; change nothing
	@.setup/doctor

clean:                          ## remove everything built (downloads and ccache's copies stay in ~/.cache/tidepool)
	rm -rf build compile_commands.json

help:                           ## this list
	@sed -n 's/^\([a-z_.]*\):.*## *\(.*\)/  make \1\t\2/p' Makefile | expand -t 32
	@sed -n 's/^# \(Knobs: .*\)/\n\1/p; s/^#\( \{9\}HARD.*\)/\1/p' Makefile

FORCE:
.PHONY: FORCE all elf test unit fuzz soak traps lab grade lint format pictures bench run debug doctor clean help
-include $(shell find build -name '*.d' 2>/dev/null)
