# SPDX-License-Identifier: Apache-2.0
#
# Holdfast's one Makefile; `make help` lists the targets.
#
#   VARIANT=debug|release|asan|tsan|coverage|fuzz   what to build, under build/$(VARIANT)/
#   BUILD=dir    build somewhere else       V=1     show the commands      CC=clang
#   M=module     only this module's units, corpus replay, format
#   K=expr T=file  pytest -k expression and file for test-integration
#   TEST_JOBS=3  files of integration tests at a time
#   FUZZ_SECONDS=60  per fuzz target        DESTDIR= PREFIX=/usr/local   for install
#
# Each lib/<module>/ becomes one archive. lib/LAYERS says which archives a module may need, and a
# module's unit tests link with those only. Names of external libraries come from pkg-config, asked
# when the first object is compiled: `make help`, `clean`, `run` and `test` work on a machine that
# has no compiler yet. Therefore `run`, `test`, `test-full` and `bench` first install what is
# missing and then call $(MAKE) on this same file: the only places that do.

BUILD   ?= build
PREFIX  ?= /usr/local
PYTHON  ?= /usr/bin/python3
AWK     ?= awk
FUZZ_SECONDS ?= 60

# Targets that mean one variant.
ifneq (,$(filter fuzz,$(MAKECMDGOALS)))
VARIANT ?= fuzz
endif
ifneq (,$(filter install,$(MAKECMDGOALS)))
VARIANT ?= release
endif
VARIANT ?= debug

ifeq (fuzz,$(VARIANT))
CC := clang
endif
ifeq (default,$(origin CC))
CC := gcc
endif

# All processors, unless -j was given.
ifeq (0,$(MAKELEVEL))
ifeq (,$(filter -j% --jobs%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
endif

.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all
Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-7s %s\n' '$1' '$(patsubst $(BUILD)/%,%,$2)')

# ---- flags ---------------------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wswitch-enum -Wstrict-prototypes \
        -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Werror

FLAGS_debug    := -Og -g
FLAGS_release  := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
                  -fstack-clash-protection -fPIE
FLAGS_asan     := -DHOLDFAST_SANITIZED -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
                  -fno-sanitize-recover=all
FLAGS_tsan     := -DHOLDFAST_SANITIZED -O1 -g -fno-omit-frame-pointer -fsanitize=thread
FLAGS_coverage := -DHOLDFAST_COVERAGE -O0 -g --coverage
FLAGS_fuzz     := -DHOLDFAST_SANITIZED -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                  -fno-sanitize-recover=all

LINK_release   := -pie -Wl,-z,relro,-z,now

ifndef FLAGS_$(VARIANT)
$(error VARIANT=$(VARIANT): use debug, release, asan, tsan, coverage or fuzz)
endif

# A library that is not installed is left out here; the compiler then names the missing header.
PACKAGES := openssl libpq libzstd libgsasl jansson libarchive libutf8proc libxml-2.0 libcurl zlib \
            libseccomp libmicrohttpd
ask_pkg_config = $(shell for p in $2; do pkg-config --exists $$p && pkg-config $1 $$p; done)
PKG_CFLAGS = $(eval PKG_CFLAGS := $(patsubst -I%,-isystem%,$(call ask_pkg_config,--cflags,$(PACKAGES))))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(call ask_pkg_config,--libs,$(PACKAGES)))$(PKG_LIBS)
CMOCKA_LIBS = $(eval CMOCKA_LIBS := $(shell pkg-config --libs cmocka))$(CMOCKA_LIBS)

INCLUDES := -Ilib -I$(BUILD)/gen
COMPILE = $(CC) -std=c17 -D_GNU_SOURCE -pthread $(WARN) $(FLAGS_$(VARIANT)) $(CFLAGS) \
          $(INCLUDES) $(PKG_CFLAGS)
LINK    = $(CC) -pthread $(FLAGS_$(VARIANT)) $(LINK_$(VARIANT)) $(LDFLAGS)
LIBS    = -Wl,--as-needed $(PKG_LIBS) -lm

# ---- what there is -------------------------------------------------------------------------

B := $(BUILD)/$(VARIANT)
GEN := $(BUILD)/gen

# MODULES, and CLOSURE_<module>: itself and everything below it. One word per module leaves awk.
LAYER_WORDS := $(shell $(AWK) '\
    function visit(m,  i, n, d) { \
        if (m in seen) return; \
        seen[m] = 1; out = out "|" m; n = split(deps[m], d, " "); \
        for (i = 1; i <= n; i++) visit(d[i]); \
    } \
    /^[a-z0-9]+:/ { m = $$1; sub(/:.*/, "", m); order[++count] = m; $$1 = ""; deps[m] = $$0 } \
    END { for (k = 1; k <= count; k++) { \
        split("", seen); out = ""; visit(order[k]); print order[k] ":" out } }' lib/LAYERS)
MODULES := $(foreach w,$(LAYER_WORDS),$(firstword $(subst :, ,$w)))
$(foreach w,$(LAYER_WORDS),$(eval CLOSURE_$(subst |, ,$(subst :|,:=,$w))))

objects = $(patsubst %.c,$(B)/obj/%.o,$1)
archives = $(patsubst %,$(B)/lib/%.a,$(or $(CLOSURE_$1),$(MODULES)))

LIB_SRC  := $(wildcard lib/*/*.c)
CMDS     := $(sort $(foreach f,$(wildcard cmd/*/*.c),$(notdir $(patsubst %/,%,$(dir $f)))))
BINS     := $(patsubst %,$(B)/bin/%,$(CMDS))
ARCHIVES := $(patsubst %,$(B)/lib/%.a,$(MODULES))

UNIT_SRC := $(wildcard tests/unit/$(or $(M),*)/*_test.c)
UNITS    := $(patsubst tests/unit/%.c,$(B)/tests/%,$(UNIT_SRC))
FUZZ_ALL := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/$(if $(M),$(M)_)*_fuzz.c))
REPLAYS  := $(patsubst %,$(B)/fuzz/%_replay,$(FUZZ_ALL))
FUZZERS  := $(patsubst %,$(B)/fuzz/%_fuzz,$(FUZZ_ALL))

# ---- generated C: named SQL statements and the embedded migrations --------------------------

SQL := $(sort $(wildcard lib/db/sql/*.sql))
SCHEMA := $(sort $(wildcard schema/*.sql))
GEN_H := $(if $(wildcard lib/db/statements.awk),$(GEN)/db/statements.h)
GEN_C := $(if $(wildcard lib/db/statements.awk),$(GEN)/db/statements.c) \
         $(if $(wildcard lib/db/migrations.awk),$(GEN)/db/migrations.c)

# Written beside and moved, so that nobody compiles half a file.
define generate
$(call say,AWK,$@)
@mkdir -p $(@D)
$(Q)$(AWK) -f $< -v out=$1 $2 >$@.$$$$ && mv $@.$$$$ $@ || { rm -f $@.$$$$; exit 1; }
endef

# The folders are prerequisites so that a removed file counts too.
$(GEN)/db/statements.h: lib/db/statements.awk $(SQL) $(wildcard lib/db/sql)
	$(call generate,h,$(SQL))
$(GEN)/db/statements.c: lib/db/statements.awk $(SQL) $(wildcard lib/db/sql)
	$(call generate,c,$(SQL))
$(GEN)/db/migrations.c: lib/db/migrations.awk $(SCHEMA) $(wildcard schema)
	$(call generate,c,$(SCHEMA))

# The script that each export carries.
GEN_EXPORT := $(GEN)/export/verify.c
$(GEN_EXPORT): lib/export/embed.awk lib/export/verify.sh
	$(call generate,c,lib/export/verify.sh)

# ---- rules ---------------------------------------------------------------------------------

# Changes when the compiler or its flags do.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(COMPILE)' | cmp -s - $@ || echo '$(COMPILE)' >$@
FORCE:

define compile
$(call say,CC,$<)
@mkdir -p $(@D)
$(Q)$(COMPILE) $(foreach d,cmd tests/unit tests/fuzz,$(if $(filter $d/%,$<),-I$d)) \
    -MMD -MP -c -o $@ $<
endef

$(B)/obj/gen/%.o: $(GEN)/%.c $(B)/flags
	$(compile)
$(B)/obj/%.o: %.c $(B)/flags
	$(compile)

# $1 module
define module_rules
$(B)/lib/$1.a: $(call objects,$(wildcard lib/$1/*.c)) \
               $(if $(filter db,$1),$(patsubst $(GEN)/%.c,$(B)/obj/gen/%.o,$(GEN_C))) \
               $(if $(filter export,$1),$(patsubst $(GEN)/%.c,$(B)/obj/gen/%.o,$(GEN_EXPORT))) \
               $(wildcard lib/$1)
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@.new && $$(AR) rcs $$@.new $$(filter %.o,$$^) && mv $$@.new $$@
ifneq (,$(filter db,$(CLOSURE_$1)))
$(call objects,$(wildcard lib/$1/*.c tests/unit/$1/*.c tests/fuzz/$1_*.c)): | $(GEN_H)
endif
endef
$(foreach m,$(MODULES),$(eval $(call module_rules,$m)))
$(call objects,$(wildcard cmd/*/*.c)) $(patsubst $(GEN)/%.c,$(B)/obj/gen/%.o,$(GEN_C)): | $(GEN_H)

link_with = -Wl,--start-group $(filter %.a,$^) -Wl,--end-group
define link
$(call say,LINK,$@)
@mkdir -p $(@D)
$(Q)$(LINK) -o $@ $(filter %.o,$^) $(link_with) $1 $(LIBS)
endef

# $1 command
define cmd_rules
$(B)/bin/$1: $(call objects,$(wildcard cmd/$1/*.c)) $(ARCHIVES)
	$$(call link)
endef
$(foreach c,$(CMDS),$(eval $(call cmd_rules,$c)))

# $1 module, $2 file without _test.c; other .c files beside the tests are helpers for all of them
define unit_rules
$(B)/tests/$1/$2_test: $(call objects,tests/unit/$1/$2_test.c tests/unit/test_main.c \
                       $(filter-out %_test.c,$(wildcard tests/unit/$1/*.c))) $(call archives,$1)
	$$(call link,$$(CMOCKA_LIBS))
endef
$(foreach f,$(UNIT_SRC),$(eval $(call unit_rules,$(notdir $(patsubst %/,%,$(dir $f))),$(patsubst %_test.c,%,$(notdir $f)))))

# $1 fuzz target without _fuzz; its first word is the module
define fuzz_rules
$(B)/fuzz/$1_replay: $(call objects,tests/fuzz/$1_fuzz.c tests/fuzz/replay_main.c) \
                     $(call archives,$(firstword $(subst _, ,$1)))
	$$(call link)
$(B)/fuzz/$1_fuzz: $(call objects,tests/fuzz/$1_fuzz.c) \
                   $(call archives,$(firstword $(subst _, ,$1)))
	$$(call link,-fsanitize=fuzzer)
endef
$(foreach f,$(FUZZ_ALL),$(eval $(call fuzz_rules,$f)))

# What lib/mime makes of a message, and lib/text finds in it, for the comparison with a server.
$(B)/tests/mime_dump: $(call objects,tests/harness/mime_dump.c) $(call archives,imap)
	$(call link)
$(B)/tests/text_find: $(call objects,tests/harness/text_find.c) $(call archives,text)
	$(call link)

-include $(wildcard $(B)/obj/*/*/*.d $(B)/obj/*/*/*/*.d $(B)/obj/*/*.d)

# ---- targets -------------------------------------------------------------------------------

.PHONY: all bin libs run check test test-unit test-replay test-integration test-full bench lint \
        lint-source lint-symbols faults fuzz format analyze install clean help FORCE

all: libs bin ## build every library and program of VARIANT

libs: $(ARCHIVES) ## only the archives, build/VARIANT/lib

bin: $(BINS) ## only the programs, build/VARIANT/bin

run: ## install what is missing, build, and run the demonstration
	@ops/install-deps.sh run
	@$(MAKE) --no-print-directory VARIANT=release bin
	HOLDFAST_BIN=$(abspath $(BUILD)/release/bin) ops/demo/run.sh

check: lint test-unit test-replay ## lint, unit tests, fuzz corpus; for between two edits

# Lint proves its point on the release archives, which the tests that measure memory need anyway. The sandbox is whole on
# release builds only.
test: ## install what is missing; lint, units, corpus, integration under ASan and UBSan, two runs of faults
	@ops/install-deps.sh test
	@$(MAKE) --no-print-directory VARIANT=release lint bin
	@$(MAKE) --no-print-directory VARIANT=release M=process test-unit
	@$(MAKE) --no-print-directory VARIANT=asan test-unit
	@$(MAKE) --no-print-directory VARIANT=asan test-replay
	@$(MAKE) --no-print-directory VARIANT=asan test-integration
	@$(MAKE) --no-print-directory VARIANT=release RUNS=2 faults

test-full: ## all of test with the slow ones, the faults, and again under TSan
	@ops/install-deps.sh full
	@$(MAKE) --no-print-directory VARIANT=release lint bin
	@$(MAKE) --no-print-directory VARIANT=asan test-unit
	@$(MAKE) --no-print-directory VARIANT=asan test-replay
	@$(MAKE) --no-print-directory VARIANT=asan SLOW=1 test-integration
	@$(MAKE) --no-print-directory VARIANT=asan SLOW=1 faults
	@$(MAKE) --no-print-directory VARIANT=tsan test-unit
	@$(MAKE) --no-print-directory VARIANT=tsan SLOW=1 test-integration

test-unit: $(UNITS) ## the unit tests, of one module with M=module
	@tests/unit/run.sh $(UNITS)

test-replay: $(REPLAYS) ## every fuzz target over its stored corpus
	@set -e; for name in $(FUZZ_ALL); do $(B)/fuzz/$${name}_replay tests/fuzz/$$name; done

export UBSAN_OPTIONS ?= print_stacktrace=1
PYTEST = HOLDFAST_BIN=$(abspath $(B)/bin) HOLDFAST_RELEASE_BIN=$(abspath $(BUILD)/release/bin) \
         HOLDFAST_VARIANT=$(VARIANT) HOLDFAST_MIME_DUMP=$(abspath $(B)/tests/mime_dump) \
         HOLDFAST_TEXT_FIND=$(abspath $(B)/tests/text_find) PYTHONDONTWRITEBYTECODE=1 \
         $(PYTHON) -m pytest -p no:cacheprovider -ra $(if $(SLOW),,-m "not slow") \
         $(if $(T),,$(BESIDE)) $(if $(K),-k "$(K)") $(PYTEST_ARGS)
# A whole run takes files side by side: they mostly wait.
BESIDE = -n $(or $(TEST_JOBS),3) --dist loadfile

test-integration: bin $(B)/tests/mime_dump $(B)/tests/text_find ## against PostgreSQL and Dovecot; K=expression T=file SLOW=1 choose
	$(Q)$(PYTEST) $(if $(T),$(if $(wildcard $(T)),$(T),tests/integration/$(T)),tests/integration)

faults: bin ## kill, cut and starve it, then check what it kept; RUNS=3 SEED=1
	$(Q)$(PYTEST) tests/faults

bench: ## measure against Dovecot, release build
	@ops/install-deps.sh test
	@$(MAKE) --no-print-directory VARIANT=release bin
	HOLDFAST_BIN=$(abspath $(BUILD)/release/bin) $(PYTHON) tests/bench/run.py

SHELL_FILES = .ci/run $(wildcard lib/*/*.sh ops/*.sh ops/*/*.sh tests/*/*.sh)

lint: lint-source lint-symbols ## layers, forbidden calls, exit, SPDX, sizes, names

lint-source: ## the part of lint that needs no compiler
	@$(PYTHON) tests/lint/source.py
	@! command -v shellcheck >/dev/null || shellcheck -f gcc $(SHELL_FILES)

lint-symbols: $(ARCHIVES) ## no library calls exit or abort
	@tests/lint/symbols.sh $(ARCHIVES)

fuzz: $(FUZZERS) ## libFuzzer on every target, FUZZ_SECONDS each, of one module with M=module
	$(if $(FUZZ_ALL),,$(error no fuzz target of a module '$(M)'))
	@tests/fuzz/run.sh $(B)/fuzz $(FUZZ_SECONDS) $(FUZZ_ALL)

C_FILES = $(wildcard $(if $(M),lib/$(M)/*.[ch] tests/unit/$(M)/*.[ch] tests/fuzz/$(M)_*.c, \
          lib/*/*.[ch] cmd/*/*.[ch] tests/unit/*.[ch] tests/unit/*/*.[ch] tests/fuzz/*.[ch]))

format: ## clang-format in place, of one module with M=module
	clang-format -i $(C_FILES)

ANALYZE_SRC = $(filter lib/%.c cmd/%.c,$(C_FILES))
analyze: $(GEN_H) ## gcc's analyzer, clang-tidy and cppcheck, as far as installed
	@mkdir -p $(B)
	$(Q)for f in $(ANALYZE_SRC); do echo "  ANALYZE $$f"; \
	    $(COMPILE) -Icmd -Wno-error -fanalyzer -c -o $(B)/analyze.o $$f || exit 1; done
	$(Q)if command -v clang-tidy >/dev/null; then \
	    clang-tidy --quiet --checks='-*,clang-analyzer-*,bugprone-*,-bugprone-easily-swappable-parameters' \
	        $(ANALYZE_SRC) -- -std=c17 -D_GNU_SOURCE -Icmd $(INCLUDES) $(PKG_CFLAGS); fi
	$(Q)if command -v cppcheck >/dev/null; then \
	    cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr \
	        --suppress=missingIncludeSystem -D_GNU_SOURCE -Icmd $(INCLUDES) $(ANALYZE_SRC); fi

install: bin ## into DESTDIR and PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/holdfast
	install -m 755 $(BINS) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 README.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/holdfast/
	$(if $(wildcard ops/systemd/*.service),install -d $(DESTDIR)$(PREFIX)/lib/systemd/system && \
	    install -m 644 $(wildcard ops/systemd/*.service) $(DESTDIR)$(PREFIX)/lib/systemd/system/)

clean: ## remove the build folder
	rm -rf $(BUILD)

help: ## list the targets
	@$(AWK) -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
