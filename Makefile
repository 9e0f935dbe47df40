# supernetd - build, test and ship. Run `make help` first.
#
# One Makefile, no recursion: make sees every dependency. Variants live side by
# side in build/<variant>/, so switching to a sanitizer costs no rebuild.

VARIANT ?= release
PREFIX  ?= /usr/local
B       := build/$(VARIANT)

# What makes a mistake in memory a crash instead of a way in. Kernels take no bytes from outside.
harden      = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
harden.link = $(if $(filter release,$(VARIANT)),-Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now)
comma      := ,
flags.release := -O2 -g $(harden)
flags.debug   := -O0 -g3
flags.asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
flags.tsan    := -O1 -g -fsanitize=thread
flags.fence   := -O2 -g -DSN_FENCE
ifeq ($(flags.$(VARIANT)),)
$(error unknown VARIANT '$(VARIANT)': use release, debug, asan, tsan or fence)
endif

# The sanitizers cannot see into OpenBLAS: those variants run the reference kernels.
BLAS.release := openblas
BLAS.debug   := openblas
BLAS.fence   := openblas
BLAS         := $(or $(BLAS.$(VARIANT)),ref)

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wvla -Wundef -Wwrite-strings -Wformat=2
CFLAGS  += -std=gnu11 $(WARN) $(flags.$(VARIANT)) -fPIC -fvisibility=hidden -pthread
LDFLAGS += $(filter -fsanitize=%,$(flags.$(VARIANT))) $(harden.link)

# Those who only want it to run or tested need not say how many cores they have; -j wins over this.
ifneq ($(filter run test check,$(MAKECMDGOALS)),)
MAKEFLAGS += -j$(shell nproc)
started   := $(shell date +%s)
endif

# `make V=1` shows the commands.
Q := $(if $(V),,@)

# What a module may include is what its include path shows it.
# (-iquote: a header of ours does not hide one of the system. But none may be called limits.h,
# whose system version asks for itself with quotes.)
inc.core   := -Icore/include -iquote core
inc.api    := -Iapi/include -iquote api -Icore/include
inc.server := -iquote server -Iapi/include -Icore/include
inc.tests  := -iquote tests $(inc.core) -Iapi/include -iquote api -iquote server

libs.core   := -ljansson -lmd $(if $(filter openblas,$(BLAS)),-lopenblas) -lm -ldl
libs.server := -lmicrohttpd -luv

# One of the two gemm back ends; everything else is always compiled.
skip := core/kernel/blas/gemm_$(if $(filter openblas,$(BLAS)),ref,blas).c
src   = $(filter-out $(skip),$(sort $(shell find $(1) -name '*.c')))
objs  = $(patsubst %.c,$(B)/%.o,$(call src,$(1)))

UNIT  := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
SUPPORT := $(call objs,tests/support)

# Unit tests count allocations and make them fail: tests/support/alloc.c.
WRAP := $(foreach f,malloc calloc realloc free aligned_alloc posix_memalign strdup strndup,-Wl,--wrap=$(f))

.PHONY: all
all: $(B)/supernetd $(B)/libsupernet.a $(B)/libsupernet.so $(B)/conformance  ## build daemon, library and conformance runner

$(B)/libsupernet.a: $(call objs,core)
$(B)/libapi.a:      $(call objs,api)
$(B)/libserver.a:   $(filter-out $(B)/server/main.o,$(call objs,server))
$(B)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# Everything is position-independent, so both libraries are made of the same objects.
$(B)/libsupernet.so: $(call objs,core)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libsupernet.so.0 $^ -o $@ $(libs.core) -pthread

.PHONY: run
run: setup-build $(B)/supernetd  ## set up, build and start the daemon with the built-in demo on 127.0.0.1:8080
	@now=$$(date +%s); set_up=$$(stat -c %Y build/.setup-build); \
	    echo "ready to start: set up in $$((set_up - $(started))) s, built in $$((now - set_up)) s"
	exec $(B)/supernetd $(ARGS)

# The runner sees what a user sees: the public header.
$(B)/tests/conformance/%.o: inc.tests := -Icore/include
$(B)/conformance: $(call objs,tests/conformance) $(B)/libsupernet.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(libs.core) -pthread

.PHONY: conformance
conformance: setup-build $(B)/conformance  ## run the golden cases against the library, in the default mode and exact
	$(B)/conformance tests/conformance
	$(B)/conformance --exact tests/conformance

# What a check outside the release build runs: the parts that a sanitizer can judge.
SUITES.all      := $(UNIT) "tests/conformance.sh $(B)" tests/server/clients.sh tests/server/threads.sh
SUITES.scripts  := $(patsubst %,"%",$(filter-out tests/server/clients.sh tests/server/threads.sh tests/server/lib.sh,$(wildcard tests/server/*.sh tests/property/*.sh tests/plugin/*.sh)))
SUITES.release  := "tests/layers.sh $(B)" tests/pages.sh "tests/headers.sh $(B)" "tests/example.sh $(B)" $(SUITES.scripts)
# There weights are copies, which no file can take away, and memory is no measure.
SUITES.fence    := $(filter-out $(patsubst %,"tests/server/%.sh",mapped memory accounts hardened),$(SUITES.scripts))

# make test T=unit/test_conv2d, T=server/access, T=conformance: one of them, whatever the variant.
tests.of.build := conformance layers headers example pages
tests.unit     := $(UNIT:$(B)/tests/%=%)
tests.scripts  := $(patsubst tests/%.sh,%,$(filter-out %/lib.sh %/tour.sh,$(wildcard tests/server/*.sh tests/property/*.sh tests/plugin/*.sh)))
ifdef T
ifeq ($(filter $(T),$(tests.unit) $(tests.of.build) $(tests.scripts)),)
$(error there is no test '$(T)'; like it are: $(or $(shell tests/names.sh '$(T)' $(tests.unit) $(tests.of.build) $(tests.scripts)),$(tests.of.build) $(tests.scripts)))
endif
endif

.PHONY: test
test: setup-build setup-test $(if $(filter $(T),$(tests.unit)),$(B)/tests/$(T),$(if $(T),all,$(UNIT) all))  ## set up and run every test, or T=unit/test_conv2d (VARIANT=asan, tsan or fence: what they can judge)
ifdef T
	@SUPERNETD=$(B)/supernetd tests/run.sh $(if $(filter $(T),$(tests.unit)),$(B)/tests/$(T),"tests/$(T).sh$(if $(filter $(T),$(tests.of.build)), $(B))")
else
	@SUPERNETD=$(B)/supernetd tests/run.sh $(SUITES.all) $(SUITES.$(VARIANT))
endif

.PHONY: check
check: setup-build setup-test setup-check  ## form, lint and commit subjects of what changed against main (ALL=1: of every file)
	@tests/check.sh $(if $(ALL),all)

# Packages come before objects, but only when a goal asks for set-up.
.PHONY: setup-build setup-test setup-check setup-ci setup-bench setup-interop
setup-build setup-test setup-check setup-ci setup-bench setup-interop:
	@deploy/setup.sh $(@:setup-%=%)
	@mkdir -p build && touch build/.$@
ifneq ($(filter run test conformance bench bench-demo fuzz image-test fuzz-coverage interop,$(MAKECMDGOALS)),)
setup := setup-build $(if $(filter test,$(MAKECMDGOALS)),setup-test) $(if $(filter fuzz fuzz-coverage,$(MAKECMDGOALS)),setup-ci) $(if $(filter interop,$(MAKECMDGOALS)),setup-interop)
endif

# The kernel sets take longest to compile: begun first, they leave no core idle at the end.
slow := $(patsubst %.c,$(B)/%.o,$(wildcard core/kernel/packed/set_*.c))

# The whole library, visible to plug-ins: they may call what the daemon does not.
$(B)/supernetd: $(slow) $(B)/server/main.o $(B)/libserver.a $(B)/libapi.a $(B)/libsupernet.a
	$(Q)$(CC) $(LDFLAGS) -pie -rdynamic $(filter-out $(slow) %/libsupernet.a,$^) -Wl,--whole-archive $(B)/libsupernet.a \
	    -Wl,--no-whole-archive -o $@ $(libs.server) $(libs.core) -pthread

.PHONY: unit
unit: $(UNIT)  ## build and run the unit tests alone
	@for t in $(UNIT); do $$t || exit 1; done

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(SUPPORT) $(B)/libserver.a $(B)/libapi.a $(B)/libsupernet.a
	$(Q)$(CC) $(LDFLAGS) $(WRAP) $^ -o $@ -lcmocka $(libs.server) $(libs.core) -pthread

$(B)/%.o: %.c | $(setup)
	@mkdir -p $(@D)
	@echo '  $@'
	$(Q)$(CC) $(CFLAGS) $(inc.$(firstword $(subst /, ,$<))) -MMD -MP -c $< -o $@

$(B)/core/kernel/%.o: flags.release += -fno-stack-protector

# Lines for the debugger, but not every variable of code that is inlined a thousand times: that
# takes as long as compiling it.
$(B)/core/kernel/packed/%.o: flags.release += -g1

# Plain loops over memory: gcc vectorises those only here.
$(B)/core/kernel/plain/eltwise.o $(B)/core/run/combine.o: flags.release += -O3

# Files that travel inside the program.
$(B)/api/resident/embedded.o: api/openapi.json deploy/demo/spec.json deploy/demo/weights.safetensors

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# What is installed has no symbols for the debugger: they are apart, and named in what they belong to.
$(B)/%.debug: $(B)/%
	$(Q)objcopy --only-keep-debug $< $@
$(B)/stripped/%: $(B)/% $(B)/%.debug
	@mkdir -p $(@D)
	$(Q)objcopy --strip-all --add-gnu-debuglink=$(B)/$*.debug $< $@
$(B)/stripped/libsupernet.a: $(B)/libsupernet.a
	@mkdir -p $(@D)
	$(Q)objcopy --strip-debug $< $@

.PHONY: install
install: $(addprefix $(B)/stripped/,supernetd libsupernet.a libsupernet.so)  ## install daemon, library, headers and pkg-config file below PREFIX (DESTDIR for packages)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/pkgconfig include/supernet lib/systemd/system share/supernetd)
	install -m 755 $(B)/stripped/supernetd $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(B)/stripped/libsupernet.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(B)/stripped/libsupernet.so $(DESTDIR)$(PREFIX)/lib/libsupernet.so.0
	ln -sf libsupernet.so.0 $(DESTDIR)$(PREFIX)/lib/libsupernet.so
	install -m 644 core/include/supernet/*.h $(DESTDIR)$(PREFIX)/include/supernet/
	install -m 644 deploy/supernetd.conf deploy/service.conf $(DESTDIR)$(PREFIX)/share/supernetd/
	install -m 644 deploy/supernetd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBS@|$(libs.core) -pthread|' \
	    -e "s|@VERSION@|$$(sed -n 's/^#define SN_VERSION "\(.*\)"/\1/p' core/include/supernet/supernet.h)|" \
	    deploy/supernet.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/supernet.pc

# Where gdb looks for them.
debug.dir := $(DESTDIR)/usr/lib/debug$(PREFIX)
.PHONY: install-debug
install-debug: $(B)/supernetd.debug $(B)/libsupernet.so.debug  ## install the debug symbols of what make install installed
	install -d $(debug.dir)/bin $(debug.dir)/lib
	install -m 644 $(B)/supernetd.debug $(debug.dir)/bin/
	install -m 644 $(B)/libsupernet.so.debug $(debug.dir)/lib/

# ---- benchmarks --------------------------------------------------------------------------

$(B)/bench_demo: $(B)/tests/bench/bench_demo.o $(B)/libsupernet.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(libs.core) -pthread

$(B)/bench_kernel: $(B)/tests/bench/bench_kernel.o $(B)/tests/bench/peak.o $(B)/libsupernet.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ -lopenblas $(libs.core) -pthread

# The runner sees what a user sees: the public header.
$(B)/tests/bench/bench_subnet.o: inc.tests := -iquote tests -Icore/include
$(B)/bench_subnet: $(patsubst %,$(B)/tests/bench/%.o,bench_subnet peak team) $(B)/libsupernet.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(libs.core) -pthread

.PHONY: bench-kernel
bench-kernel: setup-build $(B)/bench_kernel  ## every kernel beside OpenBLAS, in percent of what this CPU can multiply and add
	@$(B)/bench_kernel

# The peer, below build/ and checked against the lock; its own set-up, for GPUs, does not run.
NODE := build/bench/node_modules/.package-lock.json
$(NODE): tests/bench/package.json tests/bench/package-lock.json
	@{ command -v node && command -v npm; } >/dev/null || deploy/setup.sh node
	@mkdir -p build/bench && cp $^ build/bench/
	$(Q)cd build/bench && npm ci --ignore-scripts --silent
	@touch $@

# make bench ONLY=tiny,demo BATCH=1 THREADS=1 QUICK=1: less of it. RESULTS=1: keep the page.
bench.args = $(if $(ONLY),--only "$(ONLY)") $(if $(BATCH),--batch $(BATCH)) $(if $(THREADS),--threads $(THREADS)) \
             $(if $(QUICK),--quick) $(if $(RESULTS),--results tests/bench/RESULTS.md)

.PHONY: bench
bench: setup-build setup-bench $(NODE) $(B)/bench_subnet $(B)/bench_demo $(B)/supernetd  ## the library beside ONNX Runtime and PyTorch, then bench-demo
	@tests/bench/compare.py $(B) $(bench.args)

.PHONY: bench-demo
bench-demo: setup-build setup-bench $(B)/bench_demo $(B)/supernetd  ## latency, throughput and memory of the demo, library and HTTP
	@tests/bench/bench.sh $(B)

# ---- interop: clients and requests that others' tools make of the document ------------------

INTEROP := build/interop/venv/.done build/interop/typescript/node_modules/.package-lock.json
build/interop/venv/.done: tests/interop/requirements.txt
	$(Q)rm -rf $(@D) && python3 -m venv $(@D) && $(@D)/bin/pip install -qq --disable-pip-version-check -r $<
	@touch $@

build/interop/typescript/node_modules/.package-lock.json: tests/interop/typescript/package.json tests/interop/typescript/package-lock.json
	@{ command -v node && command -v npm; } >/dev/null || deploy/setup.sh node
	@mkdir -p build/interop/typescript && cp $^ build/interop/typescript/
	$(Q)cd build/interop/typescript && npm ci --ignore-scripts --silent
	@touch $@

# Documents of the fuzzer's grammar, and what the library answers to them.
$(B)/tests/interop/interpreter/dump: $(patsubst %,$(B)/tests/%.o,interop/interpreter/dump fuzz/grammar fuzz/pipeline) $(B)/libsupernet.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(libs.core) -pthread

.PHONY: interop
interop: setup-build setup-interop $(B)/supernetd $(B)/tests/interop/interpreter/dump | $(INTEROP)  ## clients and requests that others' tools make of api/openapi.json, against the daemon
	@SUPERNETD=$(B)/supernetd tests/run.sh $(shell find tests/interop -maxdepth 1 -name '*.sh' -perm -u+x | sort)

# ---- fuzzing: clang's libFuzzer over parsers, the whole pipeline and rows of requests ------

FUZZERS      := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
FUZZ_FLAGS   := -std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
fuzz_objs     = $(patsubst %.c,build/fuzz/%.o,$(filter-out core/kernel/%,$(call src,$(1))))

# The library and the API are compiled once for all targets, and tell the fuzzer which way they went.
# Kernels do not: clang needs minutes for them, and their way follows from shapes. gcc's address
# checks, which clang's runtime understands, watch over what they read and write; as calls, for
# they are compiled in half the time. Those for rare CPUs go without.
fuzz_plain   := $(wildcard core/kernel/packed/set_c*.c core/kernel/packed/set_avx512*.c)
fuzz_kernels := $(filter-out $(fuzz_plain) core/kernel/blas/gemm_blas.c,$(shell find core/kernel -name '*.c'))
build/fuzz/lib.a: $(call fuzz_objs,core) $(call fuzz_objs,api) $(fuzz_kernels:%.c=build/fuzz/%.o) $(fuzz_plain:%.c=$(B)/%.o)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

build/fuzz/core/kernel/%.o: core/kernel/%.c | $(setup)
	@mkdir -p $(@D)
	@echo '  $@'
	$(Q)$(CC) -std=gnu11 -O1 -g1 -fsanitize=address --param asan-instrumentation-with-call-threshold=0 \
	    -fno-omit-frame-pointer -fPIC $(inc.core) -MMD -MP -c $< -o $@

build/fuzz/%.o: %.c | $(setup)
	@mkdir -p $(@D)
	@echo '  $@'
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(inc.tests) -MMD -MP -c $< -o $@

build/fuzz/api/resident/embedded.o: api/openapi.json deploy/demo/spec.json deploy/demo/weights.safetensors

# What targets have in common: tests/fuzz/*.c that are none.
build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o \
                   $(patsubst %.c,build/fuzz/%.o,$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c))) build/fuzz/lib.a
	@echo '  $@'
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer $^ -o $@ -ljansson -lmd -lm -ldl -pthread

-include $(shell find build/fuzz -name '*.d' 2>/dev/null)

.PHONY: fuzz
fuzz: setup-build setup-ci $(FUZZERS)  ## fuzz parsers, the pipeline and the API for FUZZ_SECONDS in all (60)
	@FUZZ_RUNS=$(FUZZ_RUNS) tests/run.sh "tests/fuzz/smoke.sh $(FUZZ_SECONDS) $(FUZZERS)"

# Which lines of core and api the corpora reach, all targets together. Kernels for other CPUs are left out.
cover_objs = $(patsubst %.c,build/cover/%.o,$(filter-out core/kernel/packed/set_% core/kernel/blas/gemm_%,$(call src,$(1)))) $(if $(filter core,$(1)),build/cover/core/kernel/blas/gemm_ref.o)
build/cover/%.o: %.c | $(setup)
	@mkdir -p $(@D)
	@echo '  $@'
	$(Q)clang -std=gnu11 -O1 -g -fprofile-instr-generate -fcoverage-mapping $(inc.tests) -MMD -MP -c $< -o $@

build/cover/fuzz_%: build/cover/tests/fuzz/fuzz_%.o $(patsubst %.c,build/cover/%.o,$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c))) \
                    $(call cover_objs,core) $(call cover_objs,api) $(patsubst %.c,$(B)/%.o,$(wildcard core/kernel/packed/set_*.c))
	$(Q)clang -fprofile-instr-generate -fsanitize=fuzzer $^ -o $@ -ljansson -lmd -lm -ldl -pthread

build/cover/api/resident/embedded.o: api/openapi.json deploy/demo/spec.json deploy/demo/weights.safetensors
-include $(shell find build/cover -name '*.d' 2>/dev/null)

# CORPUS=DIR: with folders named like the targets, instead of tests/fuzz/corpus.
CORPUS ?= tests/fuzz/corpus
.PHONY: fuzz-coverage
fuzz-coverage: setup-build setup-ci $(patsubst build/fuzz/%,build/cover/%,$(FUZZERS))  ## which lines of core and api the corpora of the fuzz targets reach
	@tests/fuzz/coverage.sh $(CORPUS) $(patsubst build/fuzz/%,build/cover/%,$(FUZZERS))

.PHONY: image-test
image-test: setup-build setup-ci  ## check the systemd unit, and the container image without a container engine
	@tests/run.sh deploy/service-test.sh deploy/image-test.sh

.PHONY: format
format: setup-check  ## rewrite the sources with clang-format
	clang-format -i $(shell find core api server tests -name '*.[ch]')

# Objects of tests are kept, so that a second run compiles nothing.
.SECONDARY:

.PHONY: clean
clean:  ## remove all variants
	rm -rf build

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
