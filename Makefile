# supernetd - build, test and ship. Run `make help` first.
#
# One Makefile, no recursion: make sees every dependency. Variants live side by
# side in build/<variant>/, so switching to a sanitizer costs no rebuild.

VARIANT ?= release
PREFIX  ?= /usr/local
B       := build/$(VARIANT)

flags.release := -O2 -g
flags.debug   := -O0 -g3
flags.asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
flags.tsan    := -O1 -g -fsanitize=thread
ifeq ($(flags.$(VARIANT)),)
$(error unknown VARIANT '$(VARIANT)': use release, debug, asan or tsan)
endif

# The sanitizers cannot see into OpenBLAS: those variants run the reference kernels.
BLAS.release := openblas
BLAS.debug   := openblas
BLAS         := $(or $(BLAS.$(VARIANT)),ref)

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wvla -Wundef -Wwrite-strings -Wformat=2
CFLAGS  += -std=gnu11 $(WARN) $(flags.$(VARIANT)) -fPIC -fvisibility=hidden -pthread
LDFLAGS += $(filter -fsanitize=%,$(flags.$(VARIANT)))

# What a module may include is what its include path shows it.
inc.core   := -Icore/include -Icore
inc.api    := -Iapi/include -Iapi -Icore/include
inc.server := -Iserver -Iapi/include -Icore/include
inc.tests  := -Itests $(inc.core) -Iapi/include -Iapi -Iserver

libs.core   := -ljansson -lmd $(if $(filter openblas,$(BLAS)),-lopenblas) -lm -ldl
libs.server := -lmicrohttpd -luv

# One of the two gemm back ends; everything else is always compiled.
skip := core/kernel/gemm_$(if $(filter openblas,$(BLAS)),ref,blas).c
src   = $(filter-out $(skip),$(sort $(shell find $(1) -name '*.c')))
objs  = $(patsubst %.c,$(B)/%.o,$(call src,$(1)))

UNIT  := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
SUPPORT := $(call objs,tests/support)

# Unit tests count allocations and make them fail: tests/support/alloc.c.
WRAP := $(foreach f,malloc calloc realloc aligned_alloc posix_memalign strdup strndup,-Wl,--wrap=$(f))

.PHONY: all
all: $(B)/supernetd $(B)/libsupernet.a $(B)/libsupernet.so $(B)/conformance  ## build daemon, library and conformance runner

$(B)/libsupernet.a: $(call objs,core)
$(B)/libapi.a:      $(call objs,api)
$(B)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

.PHONY: unit
unit: $(UNIT)  ## build and run the unit tests alone
	@for t in $(UNIT); do $$t || exit 1; done

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(SUPPORT) $(B)/libapi.a $(B)/libsupernet.a
	$(CC) $(LDFLAGS) $(WRAP) $^ -o $@ -lcmocka $(libs.core) -pthread

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(inc.$(firstword $(subst /, ,$<))) -MMD -MP -c $< -o $@

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: clean
clean:  ## remove all variants
	rm -rf build

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
