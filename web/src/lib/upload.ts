/** Sends a file with its progress, which `fetch` does not tell. */

import { Problem } from "./api";
import { session } from "./session.svelte";

export interface Upload {
  /** The answer's JSON; a refusal is thrown as a `Problem`. */
  done: Promise<unknown>;
  abort: () => void;
}

export function upload(
  path: string,
  file: Blob,
  type: string,
  onprogress: (sent: number) => void,
): Upload {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("POST", path);
    request.setRequestHeader("content-type", type);
    request.responseType = "json";
    request.upload.onprogress = (event) => onprogress(event.loaded);
    request.onload = () => {
      if (request.status === 401) session.isOver();
      if (request.status >= 200 && request.status < 300) resolve(request.response);
      else reject(new Problem(request.status, request.response));
    };
    request.onerror = () => reject(Problem.unreachable());
    request.onabort = () => reject(new DOMException("Stopped.", "AbortError"));
    request.send(file);
  });
  return { done, abort: () => request.abort() };
}
