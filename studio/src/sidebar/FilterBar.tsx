import { useRef, useState } from "react";
import { useNavigate } from "react-router";

import type { Filter } from "../api/list";
import { useText } from "../i18n";
import { plainLine } from "../prose/tame";
import { EditIcon } from "../ui/icons";
import { LineForm } from "../ui/LineForm";
import { useGoOn } from "../ui/useGoOn";
import type { Acts } from "./useActs";

interface Props {
  filter: Filter;
  folders: readonly string[];
  acts: Acts;
}

/** Longest name of a folder that the server takes. */
export const FOLDER_LENGTH = 100;

/** Which conversations are listed. It changes the address, so that Back and reload keep it. */
export function FilterBar({ filter, folders, acts }: Props) {
  const text = useText();
  const navigate = useNavigate();
  const [renaming, setRenaming] = useState<string | null>(null);
  const place = useRef<HTMLDivElement>(null);
  // The button goes with the folder, when its name is taken from it.
  const rename = useGoOn(() => () => place.current?.querySelector("select"));
  const folder = filter.folder;
  const show = (query: Record<string, string>) =>
    void navigate({ search: new URLSearchParams(query).toString() });
  const value = filter.deleted ? "deleted" : folder === undefined ? "all" : `in ${folder}`;
  if (folder !== undefined && renaming === folder)
    return (
      <div ref={place} className="filter">
        <LineForm
          label={text.sidebar.folderName}
          value={folder}
          save={text.sidebar.save}
          maxLength={FOLDER_LENGTH}
          back={() => place.current?.querySelector("button")}
          onCancel={() => setRenaming(null)}
          onSave={(name) => {
            setRenaming(null);
            if (name !== folder)
              acts.renameFolder(folder, name, () => show(name === "" ? {} : { folder: name }));
          }}
        />
      </div>
    );
  const names = folder === undefined || folders.includes(folder) ? folders : [...folders, folder];
  return (
    <div ref={place} className="filter">
      <select
        className="field"
        aria-label={text.sidebar.filter}
        value={value}
        onChange={({ target }) => {
          if (target.value === "all") show({});
          else if (target.value === "deleted") show({ list: "deleted" });
          else show({ folder: target.value.slice(3) });
        }}
      >
        <option value="all">{text.sidebar.all}</option>
        {names
          .filter((name) => name !== "")
          .map((name) => (
            <option key={name} value={`in ${name}`} translate="no">
              {plainLine(name)}
            </option>
          ))}
        <option value="deleted">{text.sidebar.deleted}</option>
      </select>
      {folder !== undefined && folder !== "" ? (
        <button
          ref={rename}
          type="button"
          className="button quiet square"
          aria-label={text.sidebar.renameFolder}
          title={text.sidebar.renameFolder}
          onClick={() => setRenaming(folder)}
        >
          <EditIcon size={16} />
        </button>
      ) : null}
    </div>
  );
}
