"""autogen-ext: ACADynamicSessionsCodeExecutor, beyond what its own tests look at."""

import asyncio

import pytest
from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock
from autogen_ext.code_executors.azure import ACADynamicSessionsCodeExecutor
from azure.identity import DefaultAzureCredential
from conftest import AWKWARD_NAME, FIGURE, PATIENCE_SECONDS, TEXT


@pytest.fixture(scope="module")
def executor(endpoint, identifier, tmp_path_factory):
    return ACADynamicSessionsCodeExecutor(pool_management_endpoint=endpoint, credential=DefaultAzureCredential(),
                                          timeout=PATIENCE_SECONDS, session_id=identifier,
                                          work_dir=tmp_path_factory.mktemp("work"))


def run(executor, *codes):
    blocks = [CodeBlock(code=code, language="python") for code in codes]
    return asyncio.run(executor.execute_code_blocks(blocks, CancellationToken()))


def test_state_stays(executor):
    assert run(executor, "x = 41", "print('hi')").exit_code == 0
    result = run(executor, "x + 1")
    assert (result.exit_code, result.output.strip()) == (0, "42")


def test_code_without_a_value_adds_nothing_to_the_output(executor):
    assert run(executor, "print('John')").output == "John\n"


def test_it_reads_the_list_of_packages(executor):
    packages = asyncio.run(executor.get_available_packages(CancellationToken()))
    assert {"numpy", "pandas", "matplotlib", "polars", "ipython"} <= {name.lower() for name in packages}
    assert not any("\n" in name or "," in name for name in packages)


def test_a_failing_program_is_no_failing_call(executor):
    result = run(executor, "{}['missing']")
    assert result.exit_code == 1 and "KeyError: 'missing'" in result.output


def test_files(executor):
    """Uploaded in chunks, the file's name percent-encoded."""
    path = executor.work_dir / AWKWARD_NAME
    path.write_bytes(TEXT)
    asyncio.run(executor.upload_files([AWKWARD_NAME], CancellationToken()))
    assert asyncio.run(executor.get_file_list(CancellationToken())) == [AWKWARD_NAME]
    path.unlink()
    assert asyncio.run(executor.download_files([AWKWARD_NAME], CancellationToken())) == [str(path)]
    assert path.read_bytes() == TEXT
    with pytest.raises(FileNotFoundError):
        asyncio.run(executor.download_files(["missing.txt"], CancellationToken()))


def test_a_picture(executor):
    result = run(executor, FIGURE)
    assert result.exit_code == 0 and "'type': 'image', 'format': 'png', 'base64_data': 'iVBORw0KGgo" in result.output
