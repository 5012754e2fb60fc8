// A repository's life with huggingface.js: made, uploaded to, listed, read, asked about, downloaded.
import { readFileSync, writeFileSync } from "node:fs";
import {
  createRepo, uploadFiles, listFiles, pathsInfo, modelInfo, downloadFile, fileDownloadInfo,
} from "@huggingface/hub";

const [hubUrl, name, weights, out] = process.argv.slice(2);
const common = { hubUrl, accessToken: process.env.HUB_TOKEN, repo: { type: "model", name } };
await createRepo({ ...common, private: true });
const files = [
  { path: "config.json", content: new Blob(["{}\n"]) },
  { path: "model.safetensors", content: new Blob([readFileSync(weights)]) },
];
const made = await uploadFiles({ ...common, files, title: "from JavaScript", useXet: false });
const listed = [];
for await (const file of listFiles({ ...common, recursive: true })) listed.push(file);
const paths = await pathsInfo({ ...common, paths: ["model.safetensors", "gone"] });
const info = await modelInfo({ ...common, name, additionalFields: ["sha"] });
const about = await fileDownloadInfo({ ...common, path: "model.safetensors", revision: "HEAD" });
const blob = await downloadFile({ ...common, path: "model.safetensors", xet: false });
writeFileSync(out, Buffer.from(await blob.arrayBuffer()));
console.log(JSON.stringify({
  commit: made.commit.oid, listed: listed.map((file) => [file.path, file.size, file.lfs?.oid]),
  paths: paths.map((file) => [file.path, file.lfs?.oid]), info: [info.name, info.private, info.sha],
  size: about.size,
}));
