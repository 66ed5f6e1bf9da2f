# 湖北一张图 / OneMap Hubei.  `make help` lists the targets.
# Each target does its own set-up first (deploy/bootstrap.py); when nothing changed that takes a second.

SHELL := /bin/sh
BOOTSTRAP := sh deploy/python deploy/bootstrap.py
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Two processes; the tests of a file stay together and share their servers and stores.
# In the order given, what takes longest first (tests/conftest.py): sorted by their number of tests, the slowest files would
# start last and alone.
BOTH := -n 2 --dist loadfile --no-loadscope-reorder
REST := faults conformance store api
# Many a machine sets it in its containers. Then each of the hundreds of programs that the tests start would compile its
# imports anew: a worker takes 9 s of a processor to start in place of 5.
unexport PYTHONDONTWRITEBYTECODE
UV = $$(PATH="$(CURDIR)/.tools/bin:$$PATH" command -v uv)

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-rest test-portal test-clients lint format openapi config docs bench bench-serve lock clean

help:            ## 列出命令 / this list
	@sed -n 's/^\([a-z-]*\): .*## \(.*\)/  make \1\t\2/p; s/^\([a-z-]*\):  *## \(.*\)/  make \1\t\2/p' Makefile | sort -u | expand -t 22

demo:            ## 启动演示（ONEMAP_PORT 改端口） / serve the sample data; ONEMAP_PORT changes the port
	@$(BOOTSTRAP) demo
	@exec $(BIN)/onemap demo

test:            ## 全部检查和测试 / every check and test, PostGIS and a real browser included
	@$(BOOTSTRAP) test
	# Side by side: the type checker uses one processor only.
	@$(MAKE) --no-print-directory -j2 lint test-portal
	@$(MAKE) --no-print-directory test-fast
	@$(MAKE) --no-print-directory test-rest

test-fast:       ## 单元测试和文档示例 / unit tests and doctests
	$(PYTEST) -q $(BOTH) -m "not clients" --doctest-modules spatial tiles analyses tests/unit

test-rest:       ## 存储、接口、故障、一致性、门户 / stores, API, faults, conformance, portal
	$(PYTEST) -q $(BOTH) -m "not clients" $(addprefix tests/,$(REST))
	# Apart: a browser that is driven from a test keeps an event loop, in which other tests could not run theirs.
	$(PYTEST) -q $(BOTH) -m "not clients" tests/portal

test-portal:     ## 门户单元测试 / the portal's own unit tests
	@$(BOOTSTRAP) portal-test

test-clients:    ## QGIS、GRASS 等大型客户端 / QGIS, GRASS and other large clients
	@$(BOOTSTRAP) clients
	$(PYTEST) -q -m clients tests

lint:            ## 格式、类型、分层 / format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format:          ## 自动整理格式 / format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi:         ## 为 pygeoapi serve 生成 openapi.json / write openapi.json for `pygeoapi serve`
	@$(BOOTSTRAP) python
	$(BIN)/pygeoapi openapi generate pygeoapi-config.yml --no-fail-on-invalid-collection --output-file openapi.json

config:          ## 由 layers/ 重新生成 pygeoapi-config.yml / regenerate it from layers/
	@$(BOOTSTRAP) python
	$(BIN)/onemap config --write

docs:            ## 重新生成参考文档 / regenerate the reference pages
	@$(BOOTSTRAP) python
	$(BIN)/python docs/generate_reference.py

bench:           ## 性能对比 / measured ratios against peers
	@$(BOOTSTRAP) test
	$(BIN)/python benchmarks/run.py

bench-serve:     ## 服务速度，与 Martin、TiTiler 等对比 / speed of serving beside its peers
	@$(BOOTSTRAP) test
	$(BIN)/python benchmarks/serve.py

lock:            ## 更新依赖锁 / update the locks (no index address in them)
	@$(BOOTSTRAP) python
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
	  --extra server --extra analysis --extra report pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
	  --extra server --extra analysis --extra report --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:           ## 删除可再生成的一切（不动 var/） / remove everything that can be made again (not var/)
	rm -rf .venv .tools portal/node_modules spatial/static/portal openapi.json
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
