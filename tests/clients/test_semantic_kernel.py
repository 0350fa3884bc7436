"""semantic-kernel: SessionsPythonTool. It refuses endpoints that are not HTTPS, and gives up after 5 s unless told."""

import asyncio
import re

import httpx
import pytest
from azure.identity import DefaultAzureCredential
from conftest import AWKWARD_NAME, FIGURE, PATIENCE_SECONDS, TEXT
from semantic_kernel.core_plugins.sessions_python_tool.sessions_python_plugin import SessionsPythonTool
from semantic_kernel.core_plugins.sessions_python_tool.sessions_python_settings import SessionsPythonSettings
from semantic_kernel.exceptions.function_exceptions import FunctionExecutionException


@pytest.fixture
def on_plugin(endpoint, identifier, tmp_path):
    """Runs a coroutine with the plugin, in an event loop of its own, since the plugin's HTTP client belongs to one."""
    def on_plugin(use):
        async def main():
            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http_client:
                return await use(SessionsPythonTool(
                    pool_management_endpoint=endpoint, credential=DefaultAzureCredential(), http_client=http_client,
                    settings=SessionsPythonSettings(identifier=identifier), enable_dangerous_file_uploads=True,
                    allowed_upload_directories={str(tmp_path)}))

        return asyncio.run(main())

    return on_plugin


def test_state_stays(on_plugin):
    async def use(plugin):
        return await plugin.execute_code("x = 41"), await plugin.execute_code("print('hi')\nx + 1")

    first, second = on_plugin(use)
    assert first == "Status:\nSuccess\nResult:\n\nStdout:\n\nStderr:\n"
    assert second == "Status:\nSuccess\nResult:\n42\nStdout:\nhi\n\nStderr:\n"


def test_a_failing_program_is_no_failing_call(on_plugin):
    answer = on_plugin(lambda plugin: plugin.execute_code("{}['missing']"))
    assert answer.startswith("Status:\nFailure\n") and "KeyError: 'missing'" in answer


def test_files_after_code(on_plugin, local_file):
    """After code the plugin sends its multipart body as Content-Type: application/json."""
    async def use(plugin):
        await plugin.execute_code("1")
        uploaded = await plugin.upload_file(local_file_path=str(local_file))
        listed = await plugin.list_files()
        downloaded = await plugin.download_file(remote_file_name=AWKWARD_NAME)
        return uploaded, listed, downloaded.read()

    uploaded, listed, downloaded = on_plugin(use)
    assert uploaded.full_path == f"/mnt/data/{AWKWARD_NAME}" and uploaded.size_in_bytes == len(TEXT)
    assert [file.filename for file in listed] == [AWKWARD_NAME]
    assert downloaded == TEXT


def test_a_file_by_its_whole_path(on_plugin, local_file):
    async def use(plugin):
        return await plugin.upload_file(local_file_path=str(local_file), remote_file_path="/mnt/data/other.txt")

    assert on_plugin(use).full_path == "/mnt/data/other.txt"


def test_a_missing_file(on_plugin):
    with pytest.raises(FunctionExecutionException, match="404.*FileNotFound"):
        on_plugin(lambda plugin: plugin.download_file(remote_file_name="missing.txt"))


def test_a_picture(on_plugin):
    answer = on_plugin(lambda plugin: plugin.execute_code(FIGURE))
    assert re.search(r"'type': 'image', 'format': 'png', 'base64_data': 'iVBORw0KGgo", answer), answer[:500]
    assert "Stdout:\ndrawn\n" in answer


def test_a_client_that_gives_up_leaves_the_session_usable(endpoint, identifier, on_plugin):
    async def impatient():
        async with httpx.AsyncClient(timeout=1) as http_client:
            plugin = SessionsPythonTool(pool_management_endpoint=endpoint, credential=DefaultAzureCredential(),
                                        http_client=http_client, settings=SessionsPythonSettings(identifier=identifier))
            await plugin.execute_code("import time\ngiven_up = True\ntime.sleep(600)")

    with pytest.raises(httpx.ReadTimeout):
        asyncio.run(impatient())
    assert "Result:\nTrue\n" in on_plugin(lambda plugin: plugin.execute_code("given_up"))
