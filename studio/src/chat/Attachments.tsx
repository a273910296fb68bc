import { useRef } from "react";

import { useTalk } from "../conversation/context";
import type { Attached } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { bytes } from "../i18n/format";
import { AttachIcon, CloseIcon, FileIcon, WarnIcon } from "../ui/icons";
import type { Upload } from "./useUploads";

interface Props {
  files: readonly Attached[];
  uploads: readonly Upload[];
  onRemove: (id: string) => void;
  onDrop: (key: number) => void;
}

/** Files that go with the next message: here, on their way, or refused with the reason. */
export function Attachments({ files, uploads, onRemove, onDrop }: Props) {
  const text = useText();
  const language = useLanguage();
  const { chats } = useTalk();
  if (files.length === 0 && uploads.length === 0) return null;
  const remove = (name: string, run: () => void) => (
    <button
      type="button"
      className="button quiet square"
      aria-label={text.chat.removeFile(name)}
      title={text.chat.removeFile(name)}
      onClick={run}
    >
      <CloseIcon size={16} />
    </button>
  );
  return (
    <ul className="files" aria-label={text.chat.files}>
      {files.map(({ id, name, size }) => (
        <li key={id} className="file">
          <FileIcon size={16} />
          <bdi translate="no">{name}</bdi>
          <span className="soft">{bytes(language, size)}</span>
          {remove(name, () => {
            onRemove(id);
            chats.api.dropFile(id).catch(() => undefined); // unsent files are cleared away anyway
          })}
        </li>
      ))}
      {uploads.map(({ key, name, size, failure }) => (
        <li key={key} className={failure ? "file refused" : "file"}>
          {failure ? <WarnIcon size={16} /> : <span className="pulse" aria-hidden="true" />}
          <bdi translate="no" aria-hidden="true">
            {name}
          </bdi>
          <span className="soft">{bytes(language, size)}</span>
          <span role={failure ? "alert" : "status"}>
            {/* Whoever hears this sees no file beside it. */}
            <bdi translate="no" className="unseen">
              {name}
            </bdi>{" "}
            {failure ? refusal(text.error[failure.kind].what, failure.said) : text.chat.uploading}
          </span>
          {remove(name, () => onDrop(key))}
        </li>
      ))}
    </ul>
  );
}

function refusal(what: string, said: string): string {
  return said === "" ? what : said;
}

/** Chooses files. */
export function AttachButton({ onFiles }: { onFiles: (files: File[]) => void }) {
  const text = useText();
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        onChange={(event) => {
          onFiles([...(event.target.files ?? [])]);
          event.target.value = ""; // the same file can be chosen again
        }}
      />
      <button
        type="button"
        className="button quiet square"
        aria-label={text.chat.attach}
        title={text.chat.attach}
        onClick={() => input.current?.click()}
      >
        <AttachIcon />
      </button>
    </>
  );
}
