"""A repository's life with modelscope 1.28: made, uploaded to, listed, asked about, downloaded."""

import json
import os
import sys

from modelscope.hub import api as client
from modelscope.hub.api import HubApi
from modelscope.hub.snapshot_download import snapshot_download

client.MODELSCOPE_URL_SCHEME = "http://"  # the client knows servers of one's own by https only
endpoint, name, folder, out = sys.argv[1:]
api = HubApi(endpoint=endpoint)
api.login(os.environ["HUB_TOKEN"])
api.create_repo(
    name, token=os.environ["HUB_TOKEN"], visibility="private", create_default_config=False
)
api.upload_folder(
    repo_id=name,
    folder_path=folder,
    commit_message="from modelscope",
    token=os.environ["HUB_TOKEN"],
)
listed = api.get_model_files(name, recursive=True)
info = api.get_model(name)
found = snapshot_download(name, local_dir=out)
print(
    "RESULT "
    + json.dumps(
        {
            "listed": [
                (file["Path"], file["Size"], file["Sha256"])
                for file in listed
                if file["Type"] == "blob"
            ],
            "info": (info["Path"], info["Name"], info["Visibility"]),
            "folder": found,
        }
    )
)
