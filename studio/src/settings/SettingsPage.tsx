import { use } from "react";

import { useText } from "../i18n";
import { LANGUAGE_NAMES, LANGUAGES } from "../i18n/catalogue";
import { PeopleParts } from "../people/PeopleParts";
import { Failed } from "../ui/Failed";
import { Choice } from "./Choice";
import { SettingsContext } from "./context";
import { DataSection } from "./DataSection";
import { McpSection } from "../mcp/McpSection";
import { MemorySection } from "../memory/MemorySection";
import { KeySection } from "./KeySection";
import { NewChatSection } from "./NewChatSection";
import { SamplingSection } from "./SamplingSection";
import type { Theme } from "./settings";

export function SettingsPage() {
  const text = useText();
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${text.settings.title} · ${text.product}`}</title>
      <div className="column settings">
        <header>
          <h1>{text.settings.title}</h1>
          <Kept />
        </header>
        <Looks />
        <NewChatSection />
        <SamplingSection />
        <PeopleParts otherwise={<KeySection />} />
        <MemorySection />
        <McpSection />
        <DataSection />
      </div>
    </div>
  );
}

/** Who keeps what is set here. */
function Kept() {
  const text = useText();
  const { kept, server, failure, again } = use(SettingsContext);
  const said = {
    asking: text.settings.asking,
    kept: text.settings.intro,
    saving: text.settings.saving,
    apart: text.settings.apart,
  }[server];
  return (
    <>
      <p className="soft" role="status">
        {said}
      </p>
      {server === "apart" && failure ? <Failed failure={failure} onRetry={again} /> : null}
      <p className="fault" role="alert">
        {kept || server === "kept" ? "" : text.settings.notKept}
      </p>
    </>
  );
}

function Looks() {
  const text = useText();
  const { settings, change } = use(SettingsContext);
  return (
    <section>
      <Choice
        label={text.settings.language}
        value={settings.language}
        options={LANGUAGES.map((language) => [language, LANGUAGE_NAMES[language]] as const)}
        onValue={(language) => change({ language })}
      />
      <Choice<Theme>
        label={text.settings.theme}
        value={settings.theme}
        options={[
          ["auto", text.settings.themeAuto],
          ["light", text.settings.themeLight],
          ["dark", text.settings.themeDark],
        ]}
        onValue={(theme) => change({ theme })}
      />
      <Choice
        label={text.settings.enter}
        value={settings.enterSends ? "sends" : "breaks"}
        options={[
          ["sends", text.settings.enterSends],
          ["breaks", text.settings.enterBreaks],
        ]}
        onValue={(enter) => change({ enterSends: enter === "sends" })}
      />
    </section>
  );
}
