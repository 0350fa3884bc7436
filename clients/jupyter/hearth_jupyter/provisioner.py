"""Starts a bridge (kernel.py) for each kernel, and sees to it that its session ends with it, however that ends."""

import asyncio
import os
import uuid

from jupyter_client.provisioning import LocalProvisioner
from traitlets import Unicode

from .service import Service, ServiceError


class HearthProvisioner(LocalProvisioner):
    """The settings stand in the kernelspec, under metadata.kernel_provisioner.config; `hearth-jupyter install` writes it."""

    url = Unicode("", config=True, help="the service; default: $HEARTH_URL, or http://127.0.0.1:8080")
    pool = Unicode("", config=True, help="the session pool; default: $HEARTH_POOL, or the service's own")
    token_file = Unicode("", config=True, help="holds the token; default: $HEARTH_TOKEN, or $HEARTH_TOKEN_FILE")
    ca_certificate = Unicode("", config=True, help="to trust for https; default: $HEARTH_CA_CERTIFICATE")
    language = Unicode("python", config=True, help="python or node")

    session_identifier = ""

    async def pre_launch(self, **options):
        await self.end_session()
        self.session_identifier = f"jupyter-{uuid.uuid4()}"
        environment = dict(options.pop("env", None) or os.environ)
        environment["HEARTH_JUPYTER_SESSION"] = self.session_identifier
        environment["HEARTH_JUPYTER_LANGUAGE"] = self.language
        for name, value in (("HEARTH_URL", self.url), ("HEARTH_POOL", self.pool), ("HEARTH_TOKEN_FILE", self.token_file),
                            ("HEARTH_CA_CERTIFICATE", self.ca_certificate)):
            if value:
                environment[name] = value
        if self.token_file:
            environment.pop("HEARTH_TOKEN", None)
        return await super().pre_launch(env=environment, **options)

    async def cleanup(self, restart=False):
        await super().cleanup(restart)
        await self.end_session()

    async def end_session(self):
        """Also of a bridge that was killed. The identifier is nobody else's."""
        identifier, self.session_identifier = self.session_identifier, ""
        if not identifier:
            return
        try:
            service = Service(self.url, self.pool, self.token_file, self.ca_certificate)
            await asyncio.get_running_loop().run_in_executor(None, service.end, identifier)
        except ServiceError as error:
            self.log.debug("the session %s is left to its cooldown: %s", identifier, error)

    async def get_provisioner_info(self):
        return {**await super().get_provisioner_info(), "session_identifier": self.session_identifier}

    async def load_provisioner_info(self, provisioner_info):
        await super().load_provisioner_info(provisioner_info)
        self.session_identifier = provisioner_info.get("session_identifier", "")
