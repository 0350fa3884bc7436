"""What is measured of Hearth itself, all over its REST API. A workload is a function of (settings, say): see inside.py."""

import importlib

MODULES = {
    "cold_start": "starts", "warm_start": "starts", "restore_start": "starts", "reused_execution": "starts",
    "fork": "lifecycle", "resume": "lifecycle",
    "throughput": "throughput",
    "footprint": "footprint",
    "image_import": "images",
    "echo_cold_start": "containers", "echo_warm_start": "containers", "service_cold_start": "containers",
    "service_warm_start": "containers", "container_sessions": "containers",
    "proxied_requests": "proxying", "proxied_bodies": "proxying", "proxied_streams": "proxying", "proxied_body": "proxying",
    "neighbours": "neighbours",
    "isolation": "isolation",
    "network": "network",
    "restore_counts": "counts",
    "overhead": "control_plane", "transfer": "control_plane", "health_requests": "control_plane",
    "executions": "control_plane",
    "sessions": "scale", "ready": "scale", "churn": "scale",
}


def load(name):
    if name not in MODULES:
        raise ValueError(f"there is no workload {name}")
    return getattr(importlib.import_module(f"workloads.{MODULES[name]}"), name)
