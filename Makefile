# Run `make` to see the targets.

SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL: # two cores are soon busy, and output should be in the order of the targets

VERSION   ?= $(shell .ci/version)
TESTFLAGS ?=
BENCHTIME ?= 1s
FUZZTIME  ?= 10s
EXCHANGES ?= 1000000
SEED      ?=
RATE      ?= 10000
SPEEDS    ?= 2400,9600,115200
AGAINST   ?=
PICTURE   ?=
PICTURES  ?=
IMAGE     ?=
PUSH      ?=

NODE_RED := examples/node-red/test
CONSOLE  := console/web

LINTER_VERSION := v2.15.0
LINTER         := .tools/golangci-lint-$(LINTER_VERSION)/golangci-lint

VULNCHECK_VERSION := v1.8.0
VULNCHECK         := .tools/govulncheck-$(VULNCHECK_VERSION)/govulncheck

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The version is stamped by hand, so that a build outside a git checkout, or in one owned by
# somebody else, works as well.
.PHONY: build
build: ## build the static binary ./dlt645-mqtt
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o dlt645-mqtt .

# The race detector needs a C compiler and does not exist on every platform.
.PHONY: test
test: ## run the tests, with the race detector where there is one (TESTFLAGS=-v …)
	@race=-race; \
	go list -race runtime >/dev/null 2>&1 || { race=; echo "skipped: the race detector, which needs a C compiler and a 64-bit machine"; }; \
	set -x; go test $$race $(TESTFLAGS) ./...

.PHONY: lint
lint: $(LINTER) ## run golangci-lint, and shellcheck if it is installed
	$(LINTER) run --allow-parallel-runners
	@if command -v shellcheck >/dev/null; then \
		find . \( -name .git -o -name .tools -o -name node_modules \) -prune -o -type f -perm -u+x -exec grep -lIE '^#!.*sh' {} + \
			| (set -x; xargs shellcheck); \
	else \
		echo "skipped: shellcheck, which is not installed"; \
	fi

$(LINTER):
	GOBIN=$(CURDIR)/$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)

# What the Go toolchain downloads and builds, so that it need not be there later.
.PHONY: tools
tools: $(LINTER) $(VULNCHECK) .tools/compose

# Whatever was found makes it fail; a database out of reach does not.
.PHONY: vulncheck
vulncheck: $(VULNCHECK) ## look for known vulnerabilities in what the binary uses, if their database can be reached
	@status=0; found=$$($(VULNCHECK) ./... 2>&1) || status=$$?; \
	if [ $$status != 0 ] && grep -q 'fetching vulnerabilities' <<<"$$found"; then \
		echo "skipped: known vulnerabilities, whose database cannot be reached: $$(tail -n 1 <<<"$$found")"; \
	else \
		echo "$$found"; exit $$status; \
	fi

$(VULNCHECK):
	GOBIN=$(CURDIR)/$(@D) go install golang.org/x/vuln/cmd/govulncheck@$(VULNCHECK_VERSION)

.PHONY: bench
bench: ## measure the bus against the wire, at SPEEDS, and run the benchmarks (BENCHTIME=1s)
	go test ./test/line -run '^TestMeasures$$' -count 1 -timeout 30m -v -measures $(SPEEDS)
	go test . -run '^TestMeasuresOfTheBinary$$' -count 1 -timeout 30m -v -measure
	@packages=$$(go test -list '^Benchmark' ./... | awk '/^Benchmark/ {found = 1} /^ok/ {if (found) print $$2; found = 0}'); \
	set -x; go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $$packages

.PHONY: idle
idle: ## measure what a bridge costs that has little to do (DURATION=60s, AGAINST=another binary, in the same run)
	go test -run '^TestIdle$$' -count 1 -v -idle $(or $(DURATION),60s) -idle-against '$(AGAINST)' .

.PHONY: soak
soak: ## run the bus with every fault on (EXCHANGES=1000000)
	go test ./test/line -run '^TestSoak' -count 1 -timeout 0 -v -soak $(EXCHANGES) -soak-pty 1000

.PHONY: chaos
chaos: build ## kill, freeze and cut off bridge, broker and bus, and count what comes of it (DURATION=2m, SEED=…)
	go run ./test/chaos -duration $(or $(DURATION),2m) $(if $(SEED),-seed $(SEED))

.PHONY: load
load: build ## ask more of a bridge than it can do, from 100 clients (RATE=10000 a second, DURATION=10s)
	go run ./test/chaos -load $(RATE) -duration $(or $(DURATION),10s)

.PHONY: backlog
backlog: ## have the cloud away while two hundred meters go on, and count what comes afterwards (DURATION=10m)
	go test -run '^TestUplinkBacklog$$' -count 1 -timeout 60m -v -backlog $(or $(DURATION),10m) .

.PHONY: fuzz
fuzz: ## run each fuzz target for a while (FUZZTIME=10s)
	.ci/fuzz $(FUZZTIME)

# The time stamp of all files in the archives.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# With IMAGE the app for Home Assistant takes that image.
.PHONY: release
release: ## build the archives of all platforms, Debian packages and a bill of materials in dist/ (PLATFORMS='linux/amd64 linux/arm/v6')
	IMAGE=$(IMAGE) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) .ci/release "$(VERSION)" $(PLATFORMS)

.PHONY: image
image: ## build the images of all four platforms, by docker buildx or buildah (IMAGE=registry/owner/dlt645-mqtt PUSH=push BUILD_ARGS='GOPROXY=…')
	BUILD_ARGS='$(BUILD_ARGS)' .ci/image "$(VERSION)" $(or $(IMAGE),localhost/dlt645-mqtt) $(PUSH)

# For the tests of compose.yaml, which skip themselves where it is missing.
.tools/compose: $(wildcard .ci/compose/*)
	cd .ci/compose && go build -o ../../$@ .

.PHONY: compose
compose: .tools/compose ## check compose.yaml with the reference implementation
	go test -run '^TestCompose' -count 1 .

.PHONY: qemu
qemu: ## try the binaries for ARM on emulated processors, if qemu-user is installed
	.ci/qemu

.PHONY: console
console: $(CONSOLE)/node_modules/.package-lock.json ## build the console's page from console/web into console/page
	cd $(CONSOLE) && npm run --silent build

.PHONY: console-test
console-test: $(CONSOLE)/node_modules/.package-lock.json ## compare the console's page with a fresh build, and try it in a real browser (PICTURES=/tmp/pictures)
	cd $(CONSOLE) && npm run --silent build -- --check
	cd $(CONSOLE) && PICTURES=$(abspath $(PICTURES)) npm test --silent

$(CONSOLE)/node_modules/.package-lock.json: $(CONSOLE)/package-lock.json
	cd $(CONSOLE) && npm ci --prefer-offline

.PHONY: node-red
node-red: $(NODE_RED)/node_modules/.package-lock.json ## try the flows in a real Node-RED and a real browser (PICTURE=/tmp/page.png)
	cd $(NODE_RED) && PICTURE=$(abspath $(PICTURE)) npm test

$(NODE_RED)/node_modules/.package-lock.json: $(NODE_RED)/package-lock.json
	cd $(NODE_RED) && npm ci --prefer-offline

.PHONY: modbus-slave
modbus-slave: ## install the Modbus slave of pymodbus that a test talks to, into .tools/ (python3, and PyPI within reach)
	python3 -m venv .tools/modbus
	.tools/modbus/bin/pip install --quiet --disable-pip-version-check pymodbus==3.16.1 pyserial==3.5
	go test -run '^TestModbusSlave' -count 1 .

.PHONY: dlt698-library
dlt698-library: ## install a library of DL/T 698.45, whose master and meter tests talk to, into .tools/ (python3, and PyPI within reach)
	python3 -m venv .tools/dlt698
	.tools/dlt698/bin/pip install --quiet --disable-pip-version-check --only-binary :all: dlt698==1.0.1
	go test -run '^TestLibrary698' -count 1 .

# SUPERVISOR may be a folder with a clone.
SUPERVISOR         ?= https://github.com/home-assistant/supervisor
SUPERVISOR_VERSION := 2026.08.0

.PHONY: supervisor
supervisor: ## have the code of Home Assistant's Supervisor judge the app (git, python3, PyPI within reach; SUPERVISOR=clone)
	rm -rf .tools/supervisor
	git -c advice.detachedHead=false clone --quiet --depth 1 --branch $(SUPERVISOR_VERSION) $(SUPERVISOR) .tools/supervisor/source
	python3 -m venv .tools/supervisor
	.tools/supervisor/bin/pip install --quiet --disable-pip-version-check voluptuous==0.16.0 awesomeversion==25.8.0 aiohttp==3.14.5 pyyaml==6.0.4
	touch .tools/supervisor/installed
	go test -run '^TestApp' -count 1 .

.PHONY: app-icon
app-icon: ## draw the icons of the app for Home Assistant
	go run ./deploy/home-assistant/icon deploy/home-assistant/dlt645-mqtt

# Each into a folder of its own, since they want other versions of the same libraries. What wants pycrypto,
# which no longer builds, gets its successor of the same name. Maven keeps what it works with in a folder of its own
# too; the tests that need Java skip themselves without it.
SDKS  := .tools/cloud-sdks
MAVEN := mvn --quiet --batch-mode -Dmaven.repo.local=$(CURDIR)/.tools/maven

$(SDKS)/installed: Makefile
	rm -rf $(SDKS)
	python3 -m venv $(SDKS)/python
	$(SDKS)/python/bin/pip install --quiet --disable-pip-version-check --no-deps aliyun-iot-linkkit==1.2.13 tencent-iot-device==1.0.0 paho-mqtt==1.5.1 crcmod==1.7 pycryptodome==3.23.0
	python3 -m venv $(SDKS)/thingsboard
	$(SDKS)/thingsboard/bin/pip install --quiet --disable-pip-version-check tb-mqtt-client==1.13.14
	python3 -m venv $(SDKS)/amqtt
	$(SDKS)/amqtt/bin/pip install --quiet --disable-pip-version-check amqtt==0.12.1
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(SDKS) alibabacloud-iot-device-sdk@1.2.8 aedes@1.2.0
	touch $@

$(SDKS)/installed-java: $(SDKS)/installed test/cloud/sdks/jetlinks/pom.xml test/cloud/brokers/moquette/pom.xml
	$(MAVEN) -f test/cloud/sdks/jetlinks dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(SDKS)/jetlinks
	$(MAVEN) -f test/cloud/brokers/moquette dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(SDKS)/moquette
	touch $@

.PHONY: cloud-sdks-java
cloud-sdks-java: $(SDKS)/installed
	@if ! command -v javac >/dev/null || ! command -v mvn >/dev/null; then \
		echo "skipped: JetLinks' classes and the broker Moquette: they want a JDK and Maven (default-jdk-headless, maven)"; \
	else \
		$(MAKE) --no-print-directory $(SDKS)/installed-java; \
	fi

# JAVA=no leaves out what wants Java.
.PHONY: cloud-sdks
cloud-sdks: $(SDKS)/installed $(if $(filter no,$(JAVA)),,cloud-sdks-java) ## install the device SDKs of the clouds' makers and brokers of MQTT 3.1.1 into .tools/, and try the tests' cloud and the uplink with them
	go test -run 'SDK$$' -count 1 -v ./test/cloud ./uplink/dialect
	go test -run '^TestUplinkWithBrokersOf311$$' -count 1 -v .

# Status 75 is that of a setup that has said why it cannot be done here.
.PHONY: home-assistant
home-assistant: ## try the meters in a real Home Assistant, old and new, each in a Debian of its own (root; some minutes, the first time)
	@roots=; for which in oldest newest; do \
		status=0; root=$$(test/homeassistant/setup "$$which") || status=$$?; \
		case $$status in 0) roots=$${roots:+$$roots,}$$root ;; 75) ;; *) exit "$$status" ;; esac; \
	done; \
	[ -z "$$roots" ] || { set -x; go test -run '^TestHomeAssistant$$' -count 1 -timeout 12m -v -home-assistant "$$roots" .; }

.PHONY: fleet
fleet: ## measure many bridges at one mosquitto, and how they come back to it (N=100)
	go test -run '^TestFleetMeasure$$' -count 1 -timeout 10m -v -fleet $(or $(N),100) .

# Each test says what it is skipped for. Status 75 is that of a setup that has said why it cannot be done here.
.PHONY: brokers
brokers: ## try RabbitMQ 4, HiveMQ CE, Artemis, rumqttd, aedes, amqtt and moquette, accounts of sites and alert rules (root; some minutes, the first time)
	@test/brokers/install .tools/brokers
	@$(MAKE) --no-print-directory $(SDKS)/installed || echo "skipped: aedes and amqtt, which could not be installed"
	@$(MAKE) --no-print-directory $(SDKS)/installed-java || echo "skipped: moquette, which could not be installed"
	@status=0; root=$$(test/brokers/setup) || status=$$?; \
	case $$status in 0) ;; 75) root= ;; *) exit "$$status" ;; esac; \
	set -x; go test -run '^(TestBrokers|TestBrokersOf311|TestRabbitMQ|TestAlertRules|TestSiteAccounts)$$' -count 1 -timeout 20m -v -debian "$$root" .

# Telegraf with no more plugins than deploy/fleet/telegraf.conf names.
TELEGRAF_VERSION := v1.37.2
TELEGRAF         := .tools/telegraf-$(TELEGRAF_VERSION)/telegraf

$(TELEGRAF):
	GOBIN=$(CURDIR)/$(@D) go install -trimpath -tags custom,inputs.mqtt_consumer,parsers.json,parsers.json_v2,parsers.value,processors.enum,outputs.influxdb \
		github.com/influxdata/telegraf/cmd/telegraf@$(TELEGRAF_VERSION)

.PHONY: cluster
cluster: ## kill and freeze nodes of a cluster as in deploy/fleet, and hold its database against what bridges have published (root; some minutes)
	@$(MAKE) --no-print-directory $(TELEGRAF) || { echo "skipped: the cluster: Telegraf could not be built"; exit 0; }; \
	status=0; root=$$(test/brokers/setup) || status=$$?; \
	case $$status in 0) ;; 75) exit 0 ;; *) exit "$$status" ;; esac; \
	set -x; go test -run '^TestCluster$$' -count 1 -timeout 20m -v -debian "$$root" -telegraf $(TELEGRAF) .

.PHONY: demo
demo: ## run the bridge with a broker and simulated meters inside
	go run . demo

.PHONY: gofmt
gofmt: ## check that gofmt would change nothing
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "gofmt: run gofmt -w on" $$files; exit 1; }

.PHONY: tidy
tidy: ## check that go mod tidy would change nothing
	go mod tidy -diff

.PHONY: check
check: lint test build tidy gofmt ## run all that must pass before a change is handed in
