"""A proxy that is not there, in the environment: what runs on this machine talks past it."""

import time

from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.servers import MODULE, graphql, launch, start_server, stop_server, wait_until_served
from medcot_pipeline_tests.support.sockets import free_ports

DEAD = "http://127.0.0.1:9"
PROXIES = {name: DEAD for each in ("http_proxy", "https_proxy", "all_proxy") for name in (each, each.upper())}
LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }
"""
RUN = "query Run($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


def test_the_page_loads_the_project_and_launches_a_run_under_a_proxy_that_is_dead(fresh_home: Home) -> None:
    """Staged after grpc/grpc#9989 and grpc/grpc#29718: gRPC asks the proxy for a server on the same machine."""
    assert fresh_home.run("medcot", "init").returncode == 0
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    server = start_server(
        fresh_home, "dagster", "dev", "-h", "127.0.0.1", "-p", str(port), **PROXIES, no_proxy="", NO_PROXY=""
    )
    try:
        wait_until_served(f"{address}/server_info", server)
        (location,) = graphql(address, LOCATIONS)["workspaceOrError"]["locationEntries"]
        assert location == {"name": MODULE, "locationOrLoadError": {"__typename": "RepositoryLocation"}}
        run = launch(address, ["raw_medical_o1"])
        deadline = time.monotonic() + 600
        while (status := graphql(address, RUN, run=run)["runOrError"]["status"]) not in ("SUCCESS", "FAILURE"):
            assert time.monotonic() < deadline, status
            time.sleep(0.5)
        assert status == "SUCCESS"
    finally:
        stop_server(server)
    assert fresh_home.current("raw_medical_o1").is_dir()
