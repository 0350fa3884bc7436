"""Runs in every new image as the user would, before it counts as built: imports what it promises and uses it."""

import argparse
import io
import os
import pathlib
import socket
import subprocess
import sys
import time


def check_python_packages():
    import importlib.metadata
    import IPython
    import pkg_resources
    import requests

    assert importlib.metadata.version("ipython") == IPython.__version__
    assert int(pkg_resources.get_distribution("setuptools").version.split(".")[0]) < 81
    assert requests.Request("GET", "http://localhost/").prepare().url == "http://localhost/"


def check_ipython():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    assert shell.run_cell("6 * 7").result == 42
    assert shell.run_cell("!true").success
    assert shell.run_cell("import asyncio\nawait asyncio.sleep(0, 'slept')").result == "slept"
    assert shell.run_cell("%timeit -n1 -r1 -q pass").success


def check_numpy_and_pandas():
    import numpy
    import numpy.testing
    import pandas
    import pandas.testing

    numpy.testing.assert_allclose(numpy.linalg.inv([[2.0, 0], [0, 4]]), [[0.5, 0], [0, 0.25]])
    numpy.testing.assert_allclose(numpy.fft.fft([1, 1]), [2, 0])
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert frame.describe().loc["mean", "a"] == 2
    assert "<table" in frame.to_html()
    pandas.testing.assert_frame_equal(pandas.read_csv(io.StringIO(frame.to_csv(index=False))), frame)
    assert pandas.Timestamp("2026-07-01", tz="Europe/Berlin").utcoffset().total_seconds() == 7200


def check_excel():
    import pandas

    file = io.BytesIO()
    frame = pandas.DataFrame({"a": [1, 2]})
    frame.to_excel(file, index=False)
    assert pandas.read_excel(file).equals(frame)


def check_matplotlib():
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.font_manager
    import matplotlib.pyplot as pyplot
    import matplotlib_inline.backend_inline
    from PIL import Image
    from mpl_toolkits.mplot3d import Axes3D  # noqa: F401

    figure, axes = pyplot.subplots()
    axes.plot([1, 4, 9], label="$x^2$")
    axes.set_title("Größe")
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert Image.open(file).size == (640, 480)
    figure.savefig(io.BytesIO(), format="svg")
    figure.savefig(io.BytesIO(), format="pdf")


def check_scipy_and_sklearn():
    import numpy
    import scipy.fft
    import scipy.integrate
    import scipy.interpolate
    import scipy.linalg
    import scipy.ndimage
    import scipy.optimize
    import scipy.signal
    import scipy.sparse.linalg
    import scipy.spatial
    import scipy.special
    import scipy.stats
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert abs(scipy.optimize.minimize(lambda x: (x[0] - 3) ** 2, [0.0]).x[0] - 3) < 1e-3
    assert scipy.stats.ttest_ind([1, 2, 3], [7, 8, 9]).pvalue < 0.05
    x = numpy.arange(20.0).reshape(-1, 1)
    assert abs(LinearRegression().fit(x, 2 * x.ravel()).coef_[0] - 2) < 1e-9
    x, y = load_iris(return_X_y=True)
    x, _, y, _ = train_test_split(x, y, random_state=0)
    model = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=5, random_state=0)).fit(x, y)
    assert model.score(x, y) > 0.9 and "<div" in model._repr_html_()
    assert KMeans(n_clusters=3, n_init=1, random_state=0).fit(x).labels_.max() == 2


def check_polars():
    import polars

    frame = polars.DataFrame({"a": [1, 2, 2], "b": [1.0, 2.0, 3.0]})
    assert frame.group_by("a").agg(polars.col("b").sum()).sort("a")["b"].to_list() == [1.0, 5.0]
    assert frame.lazy().filter(polars.col("a") > 1).collect().height == 2
    assert polars.read_csv(io.BytesIO(frame.write_csv().encode())).equals(frame)
    assert frame.to_dicts()[0] == {"a": 1, "b": 1.0}


def check_node():
    code = """
        const acorn = require(process.argv[1]);
        const tree = acorn.parse("await 1", { ecmaVersion: "latest", allowAwaitOutsideFunction: true });
        require("zlib"); require("crypto").randomUUID(); require("worker_threads");
        console.log(tree.body.length, new Intl.NumberFormat("de").format(1234.5));
    """
    acorn = next(p for p in ("/usr/lib/hearth/node_modules/acorn", "/usr/share/nodejs/acorn") if os.path.isdir(p))
    output = subprocess.run(["node", "-e", code, acorn], check=True, capture_output=True, text=True).stdout
    assert output == "1 1.234,5\n", output
    if os.path.isdir("/usr/lib/node_modules/npm"):
        subprocess.run(["npm", "--version"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["npx", "--version"], check=True, stdout=subprocess.DEVNULL)


def check_tools():
    tools = "awk base64 bash bzip2 cat cp find grep gzip ls mktemp ps sed sort tar unzip xz zip"
    for tool in tools.split():
        subprocess.run(["bash", "-c", f"type {tool}"], check=True, stdout=subprocess.DEVNULL)
    for tool in ("git", "curl", "gcc", "cc", "apt-get", "sudo"):
        assert subprocess.run(["bash", "-c", f"type {tool}"], capture_output=True).returncode != 0, f"{tool} is there"
    subprocess.run([sys.executable, "-m", "pip", "--version"], check=True, stdout=subprocess.DEVNULL)


def check_name_lookup_fails_fast():
    start = time.monotonic()
    try:
        socket.getaddrinfo("name.invalid", 80)
    except socket.gaierror:
        pass
    assert time.monotonic() - start < 2
    assert socket.getaddrinfo("localhost", 80, socket.AF_INET)[0][4] == ("127.0.0.1", 80)


def check_account():
    import getpass
    import grp

    assert (os.getuid(), os.getgid(), os.getgroups()) == (1000, 1000, [])
    assert getpass.getuser() == "hearth" and grp.getgrgid(1000).gr_name == "hearth"
    assert not os.access("/etc/shadow", os.R_OK)
    pathlib.Path("/mnt/data/written").write_text("Grüße")
    assert os.path.expanduser("~/.local/lib/python3.11/site-packages") in sys.path


def check_everything_is_compiled():
    import json
    import numpy
    import pandas

    for module in (json, numpy, pandas):
        assert os.path.exists(module.__cached__), f"{module.__name__} is not compiled"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-polars", action="store_true", help="the image is made of Debian's packages")
    options = parser.parse_args()

    checks = [check for name, check in globals().items() if name.startswith("check_")]
    if options.without_polars:
        checks.remove(check_polars)
    for check in checks:
        start = time.monotonic()
        check()
        print(f"{check.__name__}: ok, {time.monotonic() - start:.2f} s", flush=True)


if __name__ == "__main__":
    main()
