/** The heat map on a picture of the current study: its button, its legend, and its making on request. */

import { enable, showPressed } from "./controls";
import { setText } from "./corners";
import { drawHeat } from "./heat";
import type { Pane } from "./pane";
import { loadHeat, NotShown } from "./source";
import { _ } from "./texts";

/** What the key goes through, in per cent; the slider has what lies between. */
const OPACITIES = [20, 45, 70];

export class Heating {
  private on = false;
  private opacity = 0.45;
  private pane: Pane | null = null;
  /** Beside the picture, not on it: it hides nothing of the radiograph. */
  private readonly legend = document.querySelector<HTMLElement>("[data-heat-legend]")!;

  constructor(private readonly root: HTMLElement) {
    this.legend.querySelector<HTMLInputElement>("input[data-heat-opacity]")?.addEventListener("input", (event) => {
      this.opacity = Number((event.currentTarget as HTMLInputElement).value) / 100;
      this.show(this.pane);
    });
  }

  toggle(): void {
    this.on = !this.on;
    this.show(this.pane);
  }

  /** The next opacity, while a map is shown. */
  fade(): void {
    const slider = this.legend.querySelector<HTMLInputElement>("input[data-heat-opacity]");
    if (!slider || this.legend.hidden) return;
    slider.value = String(OPACITIES.find((each) => each > Number(slider.value)) ?? OPACITIES[0]);
    slider.dispatchEvent(new Event("input"));
  }

  /** On `pane` alone, as the reader wants it. */
  show(pane: Pane | null): void {
    if (this.pane && this.pane !== pane) {
      this.pane.picture.heat = null;
      this.pane.text("[data-heat-state]", "");
      this.pane.repaint();
    }
    this.pane = pane;
    if (!pane?.image) return;
    const { heat: heats, heatFrom } = pane.image;
    const on = this.on && heats.length > 0;
    const waiting = this.on && !on && heatFrom !== null;
    if (!on) pane.picture.heat = null;
    else if (pane.picture.heat?.of !== heats[0].map) pane.picture.heat = drawHeat(heats[0].map);
    pane.picture.heatOpacity = this.opacity;
    showPressed(this.root, "heat", on || waiting);
    enable(this.root, "heat", heats.length > 0 || heatFrom !== null);
    pane.text("[data-heat-state]", waiting ? _("Making the heat map …") : "");
    this.legend.hidden = !on;
    setText(this.legend, "[data-heat-finding]", heats[0] ? _(heats[0].finding) : "");
    const words = heats[0] && this.root.querySelector<HTMLElement>(`[data-heat-words="${heats[0].kind}"]`)?.dataset.words;
    if (words) setText(this.legend, "[data-heat-meaning]", words);
    setText(this.legend, "[data-heat-strongest]", pane.picture.heat ? pane.picture.heat.strongest.toFixed(2) : "");
    pane.repaint();
    if (waiting) this.fetch(pane, heatFrom);
  }

  /** A map that is made on request is asked for once the reader wants to see it. */
  private fetch(pane: Pane, from: string): void {
    const { image, signal } = pane;
    if (!image || this.asked.has(signal)) return;
    this.asked.add(signal);
    loadHeat(from, signal).then(
      (heat) => {
        image.heat = [heat];
        if (!signal.aborted) this.show(this.pane);
      },
      (error: unknown) => {
        this.asked.delete(signal);
        if (signal.aborted) return;
        this.on = false;
        this.show(this.pane);
        pane.text("[data-heat-state]", error instanceof NotShown ? error.message : _("The heat map did not arrive. Try again."));
      },
    );
  }

  /** One question for each image on the screen, however often it is shown anew. */
  private readonly asked = new WeakSet<AbortSignal>();
}
