import { useState } from "react";

import type { Failure } from "../api/errors";
import { failureIn } from "../conversation/chats";
import { useTalk } from "../conversation/context";
import type { Attached } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { bytes } from "../i18n/format";
import { Failed } from "../ui/Failed";
import { FileIcon } from "../ui/icons";
import { saveFile } from "../ui/saveFile";

/** The files beside a message. The server gives them to be saved, never to be shown as a page. */
export function Files({ files }: { files: readonly Attached[] }) {
  if (files.length === 0) return null;
  return (
    <ul className="files">
      {files.map((file) => (
        <li key={file.id}>
          <OneFile {...file} />
        </li>
      ))}
    </ul>
  );
}

/** No link: a link carries no key, and a server that asks for one would refuse it. */
function OneFile({ id, name, size }: Attached) {
  const text = useText();
  const language = useLanguage();
  const { chats } = useTalk();
  const [coming, setComing] = useState(false);
  const [failed, setFailed] = useState<Failure | null>(null);
  const save = async () => {
    if (coming) return;
    setComing(true);
    setFailed(null);
    try {
      saveFile(await chats.api.file(id), name);
    } catch (error) {
      setFailed(failureIn(error));
    } finally {
      setComing(false);
    }
  };
  return (
    <>
      <button
        type="button"
        className="file"
        title={text.chat.saveFile(name)}
        aria-disabled={coming}
        onClick={() => void save()}
      >
        <FileIcon size={16} />
        <bdi translate="no">{name}</bdi>
        <span className="soft">{bytes(language, size)}</span>
      </button>
      {failed ? <Failed failure={failed} onRetry={() => void save()} /> : null}
    </>
  );
}
